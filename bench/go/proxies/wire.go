package main

import (
	"errors"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Fields of the delta protocol's messages (envoy/service/discovery/v3/discovery.proto).
const (
	responseResources protowire.Number = 2
	responseTypeURL   protowire.Number = 4
	responseNonce     protowire.Number = 5

	resourcePacked protowire.Number = 2
	resourceName   protowire.Number = 3

	requestTypeURL protowire.Number = 2
	requestNonce   protowire.Number = 6
)

var errNotAMessage = errors.New("what was received is not a message of protobuf")

// fields calls back for each field of a message that holds bytes; they lie in the message.
func fields(message []byte, each func(number protowire.Number, value []byte)) error {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errNotAMessage
		}
		message = message[size:]
		if kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return errNotAMessage
			}
			each(number, value)
			message = message[size:]
			continue
		}
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			return errNotAMessage
		}
		message = message[size:]
	}
	return nil
}

// header is the least that an answer needs of a response.
func header(response []byte) (typeURL, nonce []byte, err error) {
	err = fields(response, func(number protowire.Number, value []byte) {
		switch number {
		case responseTypeURL:
			typeURL = value
		case responseNonce:
			nonce = value
		}
	})
	return typeURL, nonce, err
}

// resources calls back for each resource of a response, with its name and the message packed in it.
func resources(response []byte, each func(name, packed []byte)) error {
	var inner error
	err := fields(response, func(number protowire.Number, value []byte) {
		if number != responseResources {
			return
		}
		var name, packed []byte
		inner = errors.Join(inner, fields(value, func(number protowire.Number, value []byte) {
			switch number {
			case resourceName:
				name = value
			case resourcePacked:
				packed = value
			}
		}))
		each(name, packed)
	})
	return errors.Join(err, inner)
}

// acknowledgement is appended to what is there.
func acknowledgement(to, typeURL, nonce []byte) []byte {
	to = protowire.AppendTag(to, requestTypeURL, protowire.BytesType)
	to = protowire.AppendBytes(to, typeURL)
	to = protowire.AppendTag(to, requestNonce, protowire.BytesType)
	return protowire.AppendBytes(to, nonce)
}

// first asks for all of a type, and says who asks.
func first(node *core.Node, typeURL string) ([]byte, error) {
	return proto.Marshal(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: typeURL})
}

func subscription(typeURL string, names []string) ([]byte, error) {
	return proto.Marshal(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}
