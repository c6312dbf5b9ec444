// Package machine says what a measurement ran on: a figure without its machine is none.
//
//	Describe ─► Machine ─► String, one line for people; or JSON, in reports
//	Noise ─► how much of the CPUs others had meanwhile
package machine
