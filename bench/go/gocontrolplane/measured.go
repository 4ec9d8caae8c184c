package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/protobuf/proto"
	"osm.example/bench/child"
)

// As bench/mesh.py has them: the peers are measured alike.
const (
	warmUp       = 3
	pause        = 50 * time.Millisecond
	answerWithin = time.Minute
)

type serving struct {
	Target   string `json:"target"`
	RssBytes int64  `json:"rss_bytes"`
}

type connected struct {
	AnsweredS float64 `json:"answered_s"`
	Pushes    int     `json:"pushes"`
	Bytes     int     `json:"bytes"`
	CPUS      float64 `json:"cpu_s"`
	RssBytes  int64   `json:"rss_bytes"`
}

type samples struct {
	GivenS    []float64 `json:"given_s"`
	AnsweredS []float64 `json:"answered_s"`
	Pushes    int       `json:"pushes"`
	Bytes     int       `json:"bytes"`
	CPUS      float64   `json:"cpu_s"`
	RssBytes  int64     `json:"rss_bytes"`
}

// eye sees what is sent and answered. Times are taken where the answer is taken in.
type eye struct {
	mu        sync.Mutex
	streams   int
	pushes    int
	bytes     int
	answeredS float64
	awaited   int
	done      chan struct{}
}

func newEye() *eye { return &eye{done: make(chan struct{}, 1)} }

func (e *eye) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		DeltaStreamOpenFunc: func(context.Context, int64, string) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.streams++
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, asked *discovery.DeltaDiscoveryRequest) error {
			if detail := asked.GetErrorDetail(); detail != nil {
				return fmt.Errorf("a proxy rejects %s: %s", asked.GetTypeUrl(), detail.GetMessage())
			}
			if asked.GetResponseNonce() != "" {
				e.answer(asked.GetTypeUrl())
			}
			return nil
		},
		StreamDeltaResponseFunc: func(_ int64, _ *discovery.DeltaDiscoveryRequest, said *discovery.DeltaDiscoveryResponse) {
			size := proto.Size(said)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.pushes++
			e.bytes += size
		},
	}
}

func (e *eye) answer(typeURL string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answeredS = child.MonotonicS()
	if typeURL != resource.EndpointType || e.awaited == 0 {
		return
	}
	if e.awaited--; e.awaited == 0 {
		e.done <- struct{}{}
	}
}

func (e *eye) connected() connected {
	e.mu.Lock()
	defer e.mu.Unlock()
	return connected{
		AnsweredS: e.answeredS, Pushes: e.pushes, Bytes: e.bytes, CPUS: child.CPUS(), RssBytes: child.RSSBytes(),
	}
}

// hand changes the store and waits, under the eye, until every proxy has answered.
type hand struct {
	store *store
	eye   *eye
}

func (h hand) moveEndpoint(rounds int) (samples, error) {
	for range warmUp {
		if _, _, err := h.change(); err != nil {
			return samples{}, err
		}
	}
	before := h.eye.connected()
	var found samples
	for range rounds {
		given, answered, err := h.change()
		if err != nil {
			return samples{}, err
		}
		found.GivenS = append(found.GivenS, given)
		found.AnsweredS = append(found.AnsweredS, answered)
		time.Sleep(pause)
	}
	after := h.eye.connected()
	found.Pushes, found.Bytes = after.Pushes-before.Pushes, after.Bytes-before.Bytes
	found.CPUS, found.RssBytes = after.CPUS-before.CPUS, after.RssBytes
	return found, nil
}

// change answers how many seconds it took until all caches had the change, and until the last answer.
func (h hand) change() (given, answered float64, err error) {
	h.eye.mu.Lock()
	h.eye.awaited = h.eye.streams
	h.eye.mu.Unlock()
	beganS := child.MonotonicS()
	if err := h.store.moveEndpoint(); err != nil {
		return 0, 0, err
	}
	given = child.MonotonicS() - beganS
	select {
	case <-h.eye.done:
	case <-time.After(answerWithin):
		return 0, 0, fmt.Errorf("not every proxy has answered within %s", answerWithin)
	}
	h.eye.mu.Lock()
	defer h.eye.mu.Unlock()
	return given, h.eye.answeredS - beganS, nil
}
