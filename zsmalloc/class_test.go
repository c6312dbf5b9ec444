package zsmalloc

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The table for chains of 8 frames is the kernel's, class for class (CONFIG_ZSMALLOC_CHAIN_SIZE=8).
func TestClassTableIsTheKernels(t *testing.T) {
	want, err := os.ReadFile("testdata/classes-chain8.txt")
	if err != nil {
		t.Fatal(err)
	}
	classes, slots := classTable(8)
	var got strings.Builder
	for i, c := range classes {
		last := 0 // the kernel numbers a class by the last slot that it serves
		for slot, class := range slots {
			if int(class) == i {
				last = slot
			}
		}
		fmt.Fprintf(&got, "%d:%d/%d/%d\n", last, c.size, c.frames, c.objs)
	}
	if got.String() != string(want) {
		t.Errorf("got %d classes:\n%s", len(classes), got.String())
	}
}

// Class counts and the smallest huge payload, for each chain length that the kernel can be built with.
func TestClassCounts(t *testing.T) {
	for _, c := range []struct{ chain, classes, huge int }{
		{4, 69, 3257}, {5, 86, 3401}, {6, 94, 3497}, {7, 110, 3577}, {8, 119, 3625}, {16, 192, 3833},
	} {
		p := newTestPool(t, Options{ChainSize: c.chain}, 1<<20)
		if len(p.classes) != c.classes || p.HugeSize() != c.huge {
			t.Errorf("chain %d: %d classes, huge from %d; want %d, %d", c.chain, len(p.classes), p.HugeSize(), c.classes, c.huge)
		}
	}
}

// Every payload size fits its class, and a class fits its handle word, its lane and its counters.
func TestEverySizeFits(t *testing.T) {
	for chain := 1; chain <= MaxChain; chain++ {
		p := newTestPool(t, Options{ChainSize: chain}, 1<<20)
		for n := 1; n <= MaxSize; n++ {
			if c := p.classes[p.slots[sizeSlot(n)]]; c.room() < n {
				t.Fatalf("chain %d: %d bytes in a class of %d", chain, n, c.room())
			}
		}
		for _, c := range p.classes {
			if c.objsPerZspage >= 1<<indexBits || c.framesPer > 1<<c.lane || c.framesPer > chain || int(c.index) >= 1<<classBits {
				t.Errorf("chain %d: class %+v", chain, c.index)
			}
		}
	}
	if n := reflect.TypeFor[zspage]().Size(); n != zspageSize {
		t.Errorf("a descriptor has %d bytes, want %d", n, zspageSize)
	}
	if n := reflect.TypeFor[header]().Size(); n != headerSize {
		t.Errorf("a header has %d bytes, want %d", n, headerSize)
	}
}

func TestLocationRoundTrip(t *testing.T) {
	for _, l := range []struct {
		class uint8
		run   uint32
		index int
	}{{0, 1, 0}, {255, 1<<32 - 1, 1<<indexBits - 1}, {17, 12345, 678}} {
		at := makeLocation(l.class, l.run, l.index)
		if at.class() != l.class || at.run() != l.run || at.index() != l.index || locationOf(at.pinned()) != at || locationOf(at.unpinned()) != at {
			t.Errorf("%+v became %d %d %d", l, at.class(), at.run(), at.index())
		}
		if at.pinned()&pinBit == 0 || at.unpinned()&pinBit != 0 || at.unpinned()&liveBit == 0 {
			t.Errorf("%+v: words %#x, %#x", l, at.pinned(), at.unpinned())
		}
	}
}
