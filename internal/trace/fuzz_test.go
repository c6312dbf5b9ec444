package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// block returns a block with a right checksum, whatever is in it.
func block(events, rest []byte, pages uint32, pack bool) []byte {
	b := make([]byte, blockHeadBytes)
	raw := append(bytes.Clone(events), rest...)
	if pack {
		z, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		b = z.EncodeAll(raw, b)
	} else {
		b = append(b, raw...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(events)))
	binary.LittleEndian.PutUint32(b[4:], pages)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-blockHeadBytes))
	binary.LittleEndian.PutUint32(b[12:], blockSum(b))
	return b
}

// FuzzReader reads whatever is there: blocks (framed, so that hostile events get past the checksum) after a header.
// It must not panic, take more memory than it says, or return an event that does not fit the device.
func FuzzReader(f *testing.F) {
	const slots = 1000
	events := randomEvents(rand.New(rand.NewPCG(1, 1)), 40)
	for i := range events {
		events[i].First %= slots - 300
	}
	whole := write(f, Meta{Slots: slots, Pages: true}, events)
	f.Add(whole, false, uint32(0))
	f.Add(whole[:len(whole)/2], false, uint32(0))
	f.Add(whole[headBytes:], false, uint32(0))
	f.Add([]byte{byte(Store), 0, 0, 1, 0, byte(End), 0}, true, uint32(1))
	f.Add([]byte{byte(Store), 0, 0, 3, 0, 1, 1}, true, uint32(1))
	f.Add([]byte{byte(Store), 0, 0, 1, 200, 1}, true, uint32(0))
	f.Add([]byte{byte(Gap), 1, 2, 3, 4, 5, byte(End), 7}, true, uint32(0))
	f.Add([]byte{byte(Load), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1}, true, uint32(0))
	f.Add([]byte{byte(Invalidate), 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, true, uint32(0))
	var head bytes.Buffer
	_, _ = writeHeader(&head, &Meta{Slots: slots, Pages: true})
	f.Fuzz(func(t *testing.T, b []byte, framed bool, fresh uint32) {
		if framed {
			fresh %= 3
			b = append(bytes.Clone(head.Bytes()), block(b, make([]byte, int(fresh)*PageSize), fresh, fresh > 0)...)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readHostile(t, b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20+200*uint64(len(b)) {
			t.Errorf("%d bytes of input took %d bytes of memory", len(b), took)
		}
	})
}

func readHostile(t *testing.T, b []byte) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return
	}
	defer r.Close()
	m := r.Meta()
	for last := int64(0); ; {
		events, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		for _, e := range events {
			if int64(e.At) < last {
				t.Fatalf("time goes back: %+v", e)
			}
			last = int64(e.At)
			if e.Op == Gap || e.Op == End {
				continue
			}
			if e.Count == 0 || e.First >= m.Slots || e.Count > m.Slots-e.First || e.Op != Invalidate && e.Count > MaxRun {
				t.Fatalf("%+v", e)
			}
			if e.Op == Store && uint64(len(e.Pages)+len(e.Sizes)) != e.Count {
				t.Fatalf("%d pages: %+v", len(e.Pages), e)
			}
			for _, p := range e.Pages {
				_ = crc32.ChecksumIEEE(p[:PageSize])
			}
		}
	}
}
