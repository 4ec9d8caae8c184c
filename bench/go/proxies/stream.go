package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	streamID    = 1
	buffer      = 4 << 10  // of a connection, once its first configuration is through
	window      = 16 << 20 // what the server may send ahead; Envoy's own
	unsaid      = 65535    // the same of HTTP/2, unless one says otherwise
	frame       = 16 << 10 // the largest that a server takes, unless it says otherwise
	prefix      = 5        // bytes before a message: whether it is compressed, and its size
)

// stream is one delta stream on a connection of its own: gRPC over HTTP/2, from one goroutine and without a queue.
//
// gRPC's own library has three goroutines for it and hands each message from one to the next, which takes half as much
// processor again. Here a push is one read and its answer one write; most of what is left is the kernel's.
type stream struct {
	connection *tls.Conn
	framer     *http2.Framer
	frames     bytes.Buffer // written by the framer, not yet sent
	outbox     []byte       // messages that no frame holds yet
	inbox      []byte       // messages that are not complete yet, or not read
	read       int          // of the inbox
	taken      uint32       // received since the server was last allowed to send more
	allowed    allowance
}

// allowance is how many bytes the server lets us send: RFC 9113, 6.9.
type allowance struct {
	stream, connection int
	atFirst            int // for a stream that has sent nothing
}

func connect(target string, secured *tls.Config) (*stream, error) {
	plain, err := net.Dial("tcp", target)
	if err != nil {
		return nil, err
	}
	connection := tls.Client(plain, secured)
	s := &stream{connection: connection, allowed: allowance{unsaid, unsaid, unsaid}}
	s.framer = http2.NewFramer(&s.frames, bufio.NewReaderSize(connection, buffer))
	s.framer.SetReuseFrames()
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := s.open(target); err != nil {
		connection.Close()
		return nil, err
	}
	return s, nil
}

// open asks for the stream.
func (s *stream) open(target string) error {
	s.frames.WriteString(http2.ClientPreface)
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "https"},
		{Name: ":path", Value: deltaMethod},
		{Name: ":authority", Value: target},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	return errors.Join(
		s.framer.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		),
		s.framer.WriteWindowUpdate(0, window-unsaid),
		s.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: streamID, BlockFragment: headers.Bytes(), EndHeaders: true,
		}),
	)
}

// send queues a message; it goes out with the next flush or receive.
func (s *stream) send(message []byte) {
	s.outbox = append(s.outbox, 0)
	s.outbox = binary.BigEndian.AppendUint32(s.outbox, uint32(len(message)))
	s.outbox = append(s.outbox, message...)
}

// receive waits for the next message, which is valid until it is called again.
func (s *stream) receive() ([]byte, error) {
	for {
		if message, complete := s.next(); complete {
			return message, nil
		}
		if err := s.flush(); err != nil {
			return nil, err
		}
		if err := s.readFrame(); err != nil {
			return nil, err
		}
	}
}

// next takes a message out of the inbox if a whole one is there.
func (s *stream) next() ([]byte, bool) {
	unread := s.inbox[s.read:]
	if len(unread) < prefix {
		return nil, false
	}
	end := prefix + int(binary.BigEndian.Uint32(unread[1:]))
	if len(unread) < end {
		return nil, false
	}
	s.read += end
	return unread[prefix:end], true
}

// flush sends what is queued, as far as the server allows.
func (s *stream) flush() error {
	for {
		size := min(len(s.outbox), s.allowed.stream, s.allowed.connection, frame)
		if size <= 0 {
			break
		}
		if err := s.framer.WriteData(streamID, false, s.outbox[:size]); err != nil {
			return err
		}
		s.outbox = append(s.outbox[:0], s.outbox[size:]...)
		s.allowed.stream -= size
		s.allowed.connection -= size
	}
	if s.frames.Len() == 0 {
		return nil
	}
	_, err := s.connection.Write(s.frames.Bytes())
	s.frames.Reset()
	return err
}

// readFrame takes in one frame, and answers it where HTTP/2 demands that.
func (s *stream) readFrame() error {
	frame, err := s.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch frame := frame.(type) {
	case *http2.DataFrame:
		return s.took(frame)
	case *http2.MetaHeadersFrame:
		if frame.StreamEnded() {
			return status(frame)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("reset: %v", frame.ErrCode)
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			s.allowed.connection += int(frame.Increment)
		} else {
			s.allowed.stream += int(frame.Increment)
		}
	case *http2.SettingsFrame:
		if frame.IsAck() {
			return nil
		}
		if first, said := frame.Value(http2.SettingInitialWindowSize); said {
			s.allowed.stream += int(first) - s.allowed.atFirst
			s.allowed.atFirst = int(first)
		}
		return s.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !frame.IsAck() {
			return s.framer.WritePing(true, frame.Data)
		}
	}
	return nil
}

// took puts bytes into the inbox, and allows the server as many again now and then.
func (s *stream) took(frame *http2.DataFrame) error {
	if s.read == len(s.inbox) {
		s.inbox, s.read = s.inbox[:0], 0
		if cap(s.inbox) > buffer {
			s.inbox = nil
		}
	}
	s.inbox = append(s.inbox, frame.Data()...)
	if s.taken += frame.Length; s.taken < window/2 {
		return nil
	}
	credit := s.taken
	s.taken = 0
	return errors.Join(s.framer.WriteWindowUpdate(0, credit), s.framer.WriteWindowUpdate(streamID, credit))
}

// status is how a server ends a stream.
func status(trailers *http2.MetaHeadersFrame) error {
	said := map[string]string{}
	for _, field := range trailers.RegularFields() {
		said[field.Name] = field.Value
	}
	return fmt.Errorf("gRPC status %s: %s", said["grpc-status"], said["grpc-message"])
}

func (s *stream) close() { s.connection.Close() }
