package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// store holds what is served, in the library's caches. One goroutine changes it.
type store struct {
	world     world
	cache     cache.Cache
	snapshots cache.SnapshotCache
	linear    *cache.LinearCache // nil when load assignments are in the snapshots
	moves     int
}

// groupOf hashes a node to its group. Proxies are called proxy-N.namespace, and proxy N has the identity N modulo
// the number of identities (bench/world.py).
type groupOf int

func (groups groupOf) ID(node *core.Node) string {
	number, _, _ := strings.Cut(strings.TrimPrefix(node.GetId(), "proxy-"), ".")
	at, err := strconv.Atoi(number)
	if err != nil {
		return node.GetId()
	}
	return strconv.Itoa(at % int(groups))
}

func newStore(world world, linear bool) (*store, error) {
	snapshots := cache.NewSnapshotCache(true, groupOf(len(world.groups)), nil)
	made := &store{world: world, cache: snapshots, snapshots: snapshots}
	if linear {
		made.linear = cache.NewLinearCache(resource.EndpointType)
		made.cache = &cache.MuxCache{
			Classify:      func(asked *cache.Request) string { return kind(asked.GetTypeUrl()) },
			ClassifyDelta: func(asked *cache.DeltaRequest) string { return kind(asked.GetTypeUrl()) },
			Caches:        map[string]cache.Cache{"endpoints": made.linear, "others": snapshots},
		}
		all := map[string]types.Resource{}
		for _, group := range world.groups {
			for _, load := range group[resource.EndpointType] {
				all[cache.GetResourceName(load)] = load
			}
			delete(group, resource.EndpointType)
		}
		made.linear.SetResources(all)
	}
	return made, made.publish()
}

func kind(typeURL string) string {
	if typeURL == resource.EndpointType {
		return "endpoints"
	}
	return "others"
}

// moveEndpoint gives the hub's first endpoint another address.
func (s *store) moveEndpoint() error {
	s.moves++
	moved := proto.Clone(s.world.hub).(*endpoint.ClusterLoadAssignment)
	socket := moved.GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
	socket.Address = fmt.Sprintf("10.201.%d.%d", s.moves/256%256, s.moves%256)
	if s.linear != nil {
		return s.linear.UpdateResource(moved.GetClusterName(), moved)
	}
	for _, group := range s.world.groups {
		loads := group[resource.EndpointType]
		for at, load := range loads {
			if cache.GetResourceName(load) == moved.GetClusterName() {
				loads[at] = moved
			}
		}
	}
	return s.publish()
}

// publish sets every group's snapshot anew, as a change does that concerns them all.
func (s *store) publish() error {
	for at, group := range s.world.groups {
		snapshot, err := cache.NewSnapshot(strconv.Itoa(s.moves), group)
		if err != nil {
			return err
		}
		if err := s.snapshots.SetSnapshot(context.Background(), strconv.Itoa(at), snapshot); err != nil {
			return err
		}
	}
	return nil
}
