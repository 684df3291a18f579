//go:build bench

package policies

import "testing"

// TestBenchDecision prints the figure of BenchmarkAuthorizationDecision for `make bench`.
func TestBenchDecision(*testing.T) { testing.Benchmark(BenchmarkAuthorizationDecision) }
