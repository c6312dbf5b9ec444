// Package pmqos keeps idle CPUs awake while somebody waits for a page.
//
//	serving threads ─ Event ─► counter ◄─ a look every 10 ms, only while traffic flows ─► /dev/cpu_dma_latency
//
//	resting ─ first Event ─► watching ─ rate ≥ threshold ─► holding ─ quiet long enough ─► resting
//	                         watching ─ nothing came ─► resting
//
// Waking a halted CPU costs more than everything else in a page fault that crosses user space.
// A process that keeps the value 0 written to /dev/cpu_dma_latency forbids idle states with an exit
// latency, so idle CPUs poll instead; the kernel drops the request with the descriptor, so a killed
// daemon holds nothing. Polling costs power: hence the threshold, the quiet time and the switch.
package pmqos
