// Package iobuf makes the buffers that the kernel copies other programs' pages into, and out of.
package iobuf
