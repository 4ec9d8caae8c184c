package child

import (
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MonotonicS is the clock that all processes of the benchmark read: Python's time.monotonic, in seconds.
func MonotonicS() float64 { return clockS(unix.CLOCK_MONOTONIC) }

// CPUS is the processor time of this process so far, threads included, in seconds.
func CPUS() float64 { return clockS(unix.CLOCK_PROCESS_CPUTIME_ID) }

func clockS(clock int32) float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		log.Fatalf("the clock: %v", err)
	}
	return float64(now.Sec) + float64(now.Nsec)/1e9
}

// RSSBytes is the resident memory of this process.
func RSSBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatalf("its own memory: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		log.Fatalf("its own memory: %v", err)
	}
	return pages * int64(os.Getpagesize())
}
