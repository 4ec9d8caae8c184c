package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// Envoy's first pauses, from its default backoff.
const (
	comesBackAfter  = 500 * time.Millisecond
	comesBackWithin = 1500 * time.Millisecond
)

// Whole types, whose names are not known before.
var atFirst = []name{{resource.ClusterType, ""}, {resource.ListenerType, ""}}

// proxy is the least that an Envoy says on a delta stream.
type proxy struct {
	target     string
	secured    *tls.Config
	node       *core.Node
	known      []name // what it does not ask for
	references *references
	tally      *tally

	asked, awaited map[name]struct{} // nil once it is configured
	acknowledged   []byte            // the last acknowledgement, for its space
}

// run ends with an error when a configured proxy loses its stream; it calls back when it is configured.
//
// One that could not be admitted comes back, as Envoy does: thousands of handshakes at once may take too long.
func (p *proxy) run(configured func()) error {
	for {
		err := p.converse(configured)
		if p.awaited == nil {
			return fmt.Errorf("%s: its stream has ended: %w", p.node.GetId(), err)
		}
		time.Sleep(comesBackAfter + rand.N(comesBackWithin-comesBackAfter)) // spreads load, hides nothing
	}
}

// converse always ends with an error.
func (p *proxy) converse(configured func()) error {
	p.asked, p.awaited = map[name]struct{}{}, map[name]struct{}{}
	mark(p.asked, p.known)
	mark(p.awaited, atFirst)
	stream, err := connect(p.target, p.secured)
	if err != nil {
		return err
	}
	defer stream.close()
	for _, each := range atFirst {
		request, err := first(p.node, each.typeURL)
		if err != nil {
			return err
		}
		stream.send(request)
	}
	for {
		response, err := stream.receive()
		if err != nil {
			return err
		}
		if err := p.answer(stream, response); err != nil {
			return err
		}
		p.tally.took(response)
		if p.awaited != nil && len(p.awaited) == 0 {
			p.asked, p.awaited = nil, nil
			configured()
		}
	}
}

// answer acknowledges, and asks for what it has learnt of unless it is configured.
func (p *proxy) answer(stream *stream, response []byte) error {
	typeURL, nonce, err := header(response)
	if err != nil {
		return err
	}
	p.acknowledged = acknowledgement(p.acknowledged[:0], typeURL, nonce)
	stream.send(p.acknowledged)
	if p.awaited != nil {
		if err := p.learn(stream, string(typeURL), response); err != nil {
			return err
		}
	}
	return stream.flush()
}

// learn: what came is awaited no longer; what it refers to is, and asked for.
func (p *proxy) learn(stream *stream, typeURL string, response []byte) error {
	delete(p.awaited, name{typeURL, ""})
	wanted := map[string][]string{}
	refers := typeURL == resource.ClusterType || typeURL == resource.ListenerType
	var failed error
	err := resources(response, func(own, packed []byte) {
		delete(p.awaited, name{typeURL, string(own)})
		if !refers || failed != nil {
			return
		}
		var found []name
		found, failed = p.references.of(packed)
		for _, one := range found {
			if _, before := p.asked[one]; !before {
				mark(p.asked, []name{one})
				mark(p.awaited, []name{one})
				wanted[one.typeURL] = append(wanted[one.typeURL], one.name)
			}
		}
	})
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	for _, learned := range slices.Sorted(maps.Keys(wanted)) {
		request, err := subscription(learned, wanted[learned])
		if err != nil {
			return err
		}
		stream.send(request)
	}
	return nil
}

func mark(set map[name]struct{}, names []name) {
	for _, one := range names {
		set[one] = struct{}{}
	}
}
