// Package uring is io_uring on raw system calls, for the commands that a driver takes over it: 128-byte submissions, written in
// place, one thread, no allocation.
//
//	Submission → write it → Enter or Wait → Completion, as often as there is one
package uring
