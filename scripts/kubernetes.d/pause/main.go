// pause holds a pod's namespaces, and as their first process collects the children that others left behind.
// Our cluster has it in place of registry.k8s.io/pause, which cannot be built from a Go module.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			// A zombie or none: a pid below 1 says that nothing is left to collect.
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid < 1 {
				break
			}
		}
	}
}
