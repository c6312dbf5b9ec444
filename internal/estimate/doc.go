// Package estimate says what compressed swap would give for programs as they run now, without swapping anything.
//
//	capture.Scan ─► population ─► sample, in memory ─► each codec, through a pool of its own ─► Choose ─► Report
//
// ratio: bytes of the pages that are not same-filled over their compressed bytes. effective ratio: bytes of all pages
// over all memory that the pool took for them. margin: half of the interval that holds the ratio of all pages 95 times of
// 100, as a share of the ratio; it counts runs of neighbours, not pages, because neighbours resemble each other.
// idle: not touched since the kernel last looked, which it does only when it needs memory; so the least that is idle.
//
// The sample is in memory that is in no core file, and, after capture.Private, never swapped.
package estimate
