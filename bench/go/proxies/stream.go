package main

import (
	"context"
	"crypto/tls"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
)

const (
	deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	buffer      = 4 << 10
	window      = 1 << 20 // set, so that gRPC does not measure the line with pings, which the server would answer
	largest     = 64 << 20
)

// stream is one delta stream on a connection of its own.
type stream struct {
	connection *grpc.ClientConn
	call       grpc.ClientStream
	end        context.CancelFunc
}

func connect(target string, secured *tls.Config) (*stream, error) {
	connection, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(credentials.NewTLS(secured)),
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer), grpc.WithSharedWriteBuffer(true),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(largest)),
	)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	call, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, deltaMethod)
	if err != nil {
		end()
		connection.Close()
		return nil, err
	}
	return &stream{connection: connection, call: call, end: end}, nil
}

func (s *stream) send(message []byte) error {
	return s.call.SendMsg(append([]byte(nil), message...))
}

func (s *stream) receive() ([]byte, error) {
	var message []byte
	err := s.call.RecvMsg(&message)
	return message, err
}

func (s *stream) close() {
	s.end()
	s.connection.Close()
}

type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
