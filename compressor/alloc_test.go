//go:build !race

package compressor

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// mallocs counts the allocations of one call, the first one included, which testing.AllocsPerRun leaves out.
func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// alone keeps other goroutines and the collector from moving the counts. (Not under -race: there sync.Pool forgets at
// random, by design.)
func alone(t *testing.T) {
	procs, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs); debug.SetGCPercent(percent) })
}

// forget empties every sync.Pool, so that what an earlier codec left behind does not hide what New leaves out.
// The nap is for the runtime's own goroutines, which have something to allocate after a collection.
func forget() {
	runtime.GC()
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
}

// TestNoAllocs: from the first page after New and NewDecoders, no page of any kind or length allocates.
func TestNoAllocs(t *testing.T) {
	alone(t)
	type object struct {
		id   ID
		size int
		data []byte
	}
	var objects []object
	dst, back := make([]byte, 2*MaxPage+512), make([]byte, MaxPage)
	for _, name := range allNames() {
		forget()
		c := mustNew(t, name)
		for _, k := range pageKinds {
			for _, size := range []int{MaxPage, 16384, 4096, 4095, 700, 64, 1} {
				page, n := makePage(k.fill, size), 0
				if m := mallocs(func() { n = c.Compress(dst, page) }); m != 0 {
					t.Errorf("%s: compressing %d bytes of %s allocated %d times", name, size, k.name, m)
				}
				if n == 0 {
					continue
				}
				if m := mallocs(func() { _ = c.Decompress(back[:size], dst[:n]) }); m != 0 {
					t.Errorf("%s: decompressing %d bytes of %s allocated %d times", name, size, k.name, m)
				}
				objects = append(objects, object{c.ID(), size, bytes.Clone(dst[:n])})
			}
		}
	}
	forget()
	d := NewDecoders()
	for _, o := range objects {
		if m := mallocs(func() { _ = d.Decompress(o.id, back[:o.size], o.data) }); m != 0 {
			t.Errorf("decoders: %v, %d bytes: allocated %d times", o.id, o.size, m)
		}
	}
}

// TestAllocsAfterGC holds the libraries' pools to what the package comment says of them: the format's own tables are
// free, a collection costs a little bookkeeping in the first page after it, and only there.
func TestAllocsAfterGC(t *testing.T) {
	alone(t)
	page, dst, back := makePage(fillJSON, 4096), make([]byte, 2*4096+512), make([]byte, 4096)
	for _, name := range allNames() {
		c := mustNew(t, name)
		var n int
		compress := func() { n = c.Compress(dst, page) }
		decompress := func() { _ = c.Decompress(back, dst[:n]) }
		if compress(); n == 0 {
			continue // "none"
		}
		decompress()
		var mostCompress, mostDecompress uint64
		switch c.ID() {
		case S2, MinLZ:
			mostCompress = 6
		case Zstd:
			mostDecompress = 12
		}
		for collections := range 3 {
			for range collections {
				runtime.GC()
			}
			time.Sleep(time.Millisecond)
			if m := mallocs(compress); m > mostCompress {
				t.Errorf("%s: %d collections: compressing allocated %d times, want at most %d", name, collections, m, mostCompress)
			}
			if m := mallocs(decompress); m > mostDecompress {
				t.Errorf("%s: %d collections: decompressing allocated %d times, want at most %d", name, collections, m, mostDecompress)
			}
			if m := testing.AllocsPerRun(100, func() { compress(); decompress() }); m != 0 {
				t.Errorf("%s: %v allocations per page", name, m)
			}
		}
	}
}

// TestMemory holds each codec to its bound in bytes; most workers have one of the first five and a Decoders.
func TestMemory(t *testing.T) {
	alone(t)
	held := func(make func() any) (any, int) {
		var before, after runtime.MemStats
		forget()
		runtime.ReadMemStats(&before)
		x := make()
		forget()
		runtime.ReadMemStats(&after)
		return x, int(after.HeapAlloc) - int(before.HeapAlloc)
	}
	largestFrames()
	for _, l := range []struct {
		name  string
		bytes int
	}{
		{"none", 4 << 10}, {"lz4", 160 << 10}, {"lz4hc", 288 << 10}, {"s2", 4 << 10}, {"minlz", 4 << 10},
		{"zstd", 1 << 20}, {"zstd:3", 3 << 20}, {"zstd:6", 6 << 20}, {"zstd:10", 40 << 20},
	} {
		x, n := held(func() any { return mustNew(t, l.name) })
		if n > l.bytes {
			t.Errorf("%s holds %d bytes, want at most %d", l.name, n, l.bytes)
		}
		t.Logf("%-8s %8d bytes", l.name, n)
		runtime.KeepAlive(x)
	}
	x, n := held(func() any { return NewDecoders() })
	if n > 256<<10 {
		t.Errorf("Decoders hold %d bytes, want at most 256 KiB", n)
	}
	t.Logf("Decoders %8d bytes", n)
	runtime.KeepAlive(x)
}
