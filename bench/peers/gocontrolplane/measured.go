package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
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
	e.answeredS = monotonicS()
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
		AnsweredS: e.answeredS, Pushes: e.pushes, Bytes: e.bytes, CPUS: cpuS(), RssBytes: rssBytes(),
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
	beganS := monotonicS()
	if err := h.store.moveEndpoint(); err != nil {
		return 0, 0, err
	}
	given = monotonicS() - beganS
	select {
	case <-h.eye.done:
	case <-time.After(answerWithin):
		return 0, 0, fmt.Errorf("not every proxy has answered within %s", answerWithin)
	}
	h.eye.mu.Lock()
	defer h.eye.mu.Unlock()
	return given, h.eye.answeredS - beganS, nil
}

// monotonicS is the clock that the clients read too.
func monotonicS() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		log.Fatalf("gocontrolplane: the clock: %v", err)
	}
	return float64(now.Sec) + float64(now.Nsec)/1e9
}

// cpuS is the processor time of this process so far, threads included.
func cpuS() float64 {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used); err != nil {
		log.Fatalf("gocontrolplane: the clock: %v", err)
	}
	return float64(used.Sec) + float64(used.Nsec)/1e9
}

// rssBytes is the resident memory of this process.
func rssBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatalf("gocontrolplane: its own memory: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		log.Fatalf("gocontrolplane: its own memory: %v", err)
	}
	return pages * int64(os.Getpagesize())
}
