package guard

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// Ballast is there from the beginning, and gone when it is thrown off.
func TestBallast(t *testing.T) {
	const pages = 64
	b, err := NewBallast(pages * pageSize)
	if err != nil {
		t.Fatal(err)
	}
	memory, there := b.memory, make([]byte, pages)
	if err := mincore(memory, there); err != nil {
		t.Fatal(err)
	}
	for i, in := range there {
		if in&1 == 0 {
			t.Fatalf("page %d is not there", i)
		}
	}
	b.Drop()
	if err := mincore(memory, there); err != unix.ENOMEM {
		t.Errorf("thrown off, it is still mapped: %v", err)
	}
	b.Drop()
	(*Ballast)(nil).Drop()
}

// mincore notes for each page of memory whether it is there.
func mincore(memory, there []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, reflect.ValueOf(memory).Pointer(), uintptr(len(memory)), reflect.ValueOf(there).Pointer())
	if errno != 0 {
		return errno
	}
	return nil
}
