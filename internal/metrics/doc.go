// Package metrics is what a daemon tells Prometheus. Values are made when somebody asks, out of control.Info and Stats; nothing
// else in the project knows of Prometheus.
//
// Names are the kernel's words where it has them, in base units: _pages and _bytes are what is there now, _total counts since
// the start of the daemon. Times are histograms twice over: native ones, with 8 buckets for each power of two, for a
// Prometheus that takes them, and classic ones with one.
package metrics
