package zsmalloc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zswapd/zswapd/internal/arena"
)

// TestTranscripts runs the stories in testdata/transcripts. Objects are named by numbers in the order of their
// allocation; "go test ./zsmalloc -run TestTranscripts -rewrite" writes down what happens now: read the difference.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		p := newTestPool(t, Options{ChainSize: 8, Handles: 4096, MaxFrames: 512}, 1<<20)
		s := &story{p: p, pinned: map[int]bool{}}
		t.Cleanup(func() { // before the pool's own check
			for n := range s.pinned {
				p.Unpin(s.objects[n].h)
			}
		})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

type story struct {
	p       *Pool
	objects []object
	pinned  map[int]bool
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	switch d.Cmd {
	case "malloc": // malloc size=N n=N
		var size, n int
		d.ScanArgs(t, "size", &size)
		d.MaybeScanArgs(t, "n", &n)
		for range max(n, 1) {
			o, err := put(s.p, uint64(len(s.objects)+1), size)
			if err != nil {
				return err.Error() + "\n"
			}
			s.objects = append(s.objects, o)
		}
	case "free": // free A-B C …
		for _, n := range s.numbers(t, d) {
			noErr(t, s.p.Free(s.objects[n].h))
			s.objects[n].size = 0
		}
	case "pin":
		for _, n := range s.numbers(t, d) {
			_, _, err := s.p.Pin(s.objects[n].h)
			noErr(t, err)
			s.pinned[n] = true
		}
	case "unpin":
		for _, n := range s.numbers(t, d) {
			s.p.Unpin(s.objects[n].h)
			delete(s.pinned, n)
		}
	case "compact": // compact budget=N
		budget := 1 << 20
		d.MaybeScanArgs(t, "budget", &budget)
		r, more := s.p.Compact(budget)
		fmt.Fprintf(&b, "moved %d objects (%d bytes), freed %d frames, skipped %d, more=%t\n", r.Objects, r.Bytes, r.Frames, r.Skipped, more)
	case "limit": // limit frames=N more than in use
		var n int
		d.ScanArgs(t, "frames", &n)
		s.p.a.Budget().SetLimit(s.p.a.Budget().Used() + int64(n)*arena.FrameSize)
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	s.state(t, &b)
	return b.String()
}

func (s *story) numbers(t *testing.T, d *datadriven.TestData) (all []int) {
	for _, a := range d.CmdArgs {
		var from, to int
		if _, err := fmt.Sscanf(a.Key, "%d-%d", &from, &to); err != nil {
			if _, err := fmt.Sscanf(a.Key, "%d", &from); err != nil {
				t.Fatalf("%s: %q is no object", d.Pos, a.Key)
			}
			to = from
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all
}

// state verifies every object and prints each zspage with the objects in it: * pinned, . free, ~ never used.
func (s *story) state(t *testing.T, b *strings.Builder) {
	names := map[Handle]int{}
	for n, o := range s.objects {
		if o.size > 0 {
			names[o.h] = n
			if !s.pinned[n] {
				noErr(t, o.verify(s.p))
			}
		}
	}
	for _, c := range s.p.classes {
		for run := uint32(1); run < s.p.lanes[c.lane].fresh.Load(); run++ {
			z := s.p.zspageAt(c.lane, run)
			if !z.used || z.class != c.index {
				continue
			}
			fmt.Fprintf(b, "class %d zspage %d, %d of %d frames:", c.size, run, z.committed.Load(), c.framesPer)
			for i := range c.objsPerZspage {
				switch h := Handle(0); {
				case i >= int(z.fresh):
					b.WriteString(" ~")
				default:
					h = s.p.header(c, run, i).handle
					if h == 0 {
						b.WriteString(" .")
						continue
					}
					fmt.Fprintf(b, " %d", names[h])
					if s.pinned[names[h]] {
						b.WriteString("*")
					}
				}
			}
			b.WriteString("\n")
		}
	}
	st := s.p.Stats()
	fmt.Fprintf(b, "%d objects in %d frames, %d ready, %d freeable\n", st.Objects, st.Frames, st.ReadyFrames, st.Freeable)
}
