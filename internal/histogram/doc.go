// Package histogram counts durations in fixed buckets without locks or allocation.
//
//	0..15 ns one bucket each, then 16 buckets per power of two: a quantile is at most 1/16 too high
//
// A Histogram has one size, known to the compiler, and lives inside the struct that it measures.
package histogram
