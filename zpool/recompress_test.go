package zpool

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zswapd/zswapd/internal/pagegen"
)

// fillCold stores n pages that are alike, but not the same, makes them idle, and packs them.
func fillCold(t testing.TB, p *Pool, w *Worker, n uint64) (pages []byte) {
	t.Helper()
	pages = make([]byte, n*PageSize)
	for slot := range n {
		makeColdPage(pages[slot*PageSize:][:PageSize], slot)
	}
	noErr(t, w.Store(0, pages))
	packAll(t, p)
	return pages
}

// makeColdPage makes a page of a size that follows from its number: neighbours have much in common.
func makeColdPage(page []byte, n uint64) {
	kinds := []pagegen.Kind{pagegen.Java, pagegen.JSON, pagegen.Text, pagegen.Code}
	pagegen.Fill(page, kinds[n/64%uint64(len(kinds))], n/pagegen.RunPages, n)
}

// packAll makes all pages idle and packs what can be packed.
func packAll(t testing.TB, p *Pool) (all Recompressed) {
	t.Helper()
	p.Tick()
	for more := true; more; {
		did, m, err := p.Recompress(0, 64)
		noErr(t, err)
		all.add(did)
		more = m
	}
	return all
}

// Idle pages take less memory than before, and come back as they were, for every dense codec and size of clusters.
func TestRecompressed(t *testing.T) {
	for _, codec := range []string{"zstd", "zstd:3", "lz4hc", "minlz:2"} {
		for _, size := range []int{PageSize, 2 * PageSize, 4 * PageSize, 16 * PageSize} {
			t.Run(fmt.Sprintf("%s,%d", codec, size), func(t *testing.T) {
				p := newTestPool(t, Options{Slots: 1024, Compressor: "lz4", RecompressCodec: codec, ClusterSize: size})
				w := p.NewWorker()
				pages := make([]byte, 512*PageSize)
				for slot := range 512 {
					makeColdPage(pages[slot*PageSize:][:PageSize], uint64(slot))
				}
				noErr(t, w.Store(0, pages))
				before := p.Stats()
				did := packAll(t, p)
				after := p.Stats()
				noErr(t, p.Check())
				if did.Pages < 400 || after.CompressedBytes >= before.CompressedBytes || after.ColdPages != int64(did.Pages) {
					t.Errorf("%+v; %d bytes before, %d after, %d cold pages", did, before.CompressedBytes, after.CompressedBytes, after.ColdPages)
				}
				if clusters := after.Clusters > 0; clusters != (size > PageSize) || did.Clusters != uint64(after.Clusters) {
					t.Errorf("%+v, %d clusters", did, after.Clusters)
				}
				got := make([]byte, len(pages))
				noErr(t, w.Load(0, got))
				if !bytes.Equal(got, pages) {
					t.Error("pages changed")
				}
				for _, slot := range newRand(t).Perm(512) {
					noErr(t, w.Load(uint64(slot), got[:PageSize]))
					if !bytes.Equal(got[:PageSize], pages[slot*PageSize:][:PageSize]) {
						t.Fatalf("slot %d changed", slot)
					}
				}
				if n := p.Stats().ColdLoadTime.Count; n == 0 || size == PageSize && n != did.Pages {
					t.Errorf("%d loads of cold pages counted, of %d", n, did.Pages)
				}
				if again := packAll(t, p); again.Pages != 0 {
					t.Errorf("packed again, although nothing has changed: %+v", again)
				}
			})
		}
	}
}

// Pages leave their cluster one by one; the last one takes it along.
func TestMembersLeave(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1024, Compressor: "lz4"})
	w := p.NewWorker()
	pages := fillCold(t, p, w, 256)
	r, got := newRand(t), make([]byte, PageSize)
	clusters := p.Stats().Clusters
	for i, slot := range r.Perm(256) {
		if want := pages[slot*PageSize:][:PageSize]; i%2 == 0 {
			clear(want)
			noErr(t, w.Invalidate(uint64(slot), 1))
		} else {
			makePage(want, 4, r.Uint64())
			noErr(t, w.Store(uint64(slot), want))
		}
		noErr(t, p.Check())
	}
	for slot := range uint64(256) {
		if noErr(t, w.Load(slot, got)); !bytes.Equal(got, pages[slot*PageSize:][:PageSize]) {
			t.Fatalf("slot %d changed", slot)
		}
	}
	if s := p.Stats(); s.Clusters != 0 || s.ColdPages != 0 || clusters < 50 {
		t.Errorf("%d clusters with %d pages are left of %d", s.Clusters, s.ColdPages, clusters)
	}
}

// What is left of clusters of which most pages have gone is packed anew.
func TestMostlyDeadClusters(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1024, Compressor: "lz4"})
	w := p.NewWorker()
	pages := fillCold(t, p, w, 256)
	clusters := p.Stats().Clusters
	for slot := range uint64(256) {
		if slot%4 != 1 {
			noErr(t, w.Invalidate(slot, 1))
		}
	}
	before := p.Stats().CompressedBytes
	did := packAll(t, p)
	if s := p.Stats(); s.Clusters >= clusters/2 || s.CompressedBytes >= before*3/4 {
		t.Errorf("%+v; %d clusters, %d before; %d bytes, %d before", did, s.Clusters, clusters, s.CompressedBytes, before)
	}
	got := make([]byte, PageSize)
	for slot := uint64(1); slot < 256; slot += 4 {
		if noErr(t, w.Load(slot, got)); !bytes.Equal(got, pages[slot*PageSize:][:PageSize]) {
			t.Fatalf("slot %d changed", slot)
		}
	}
}

// What is left of clusters is made pages of their own again when nothing is packed any more: by hand and in the background, which
// then rests for good.
func TestMostlyDeadClustersWithoutCodec(t *testing.T) {
	for _, by := range []string{"hand", "background"} {
		t.Run(by, func(t *testing.T) {
			o := Options{Slots: 1024, Compressor: "lz4", IdleAfter: time.Millisecond}
			if by == "background" {
				o.Background = &Background{}
			}
			p := newTestPool(t, o)
			w := p.NewWorker()
			pages := fillCold(t, p, w, 256)
			if by == "background" {
				waitFor(t, "all is packed", func() bool { return p.Stats().ColdPages > 200 })
			}
			s := p.Settings()
			s.RecompressCodec = "none"
			noErr(t, p.Set(s))
			p.tiers.mu.Lock() // the background is not to be done with some before they are counted
			for slot := range uint64(256) {
				if slot%4 != 1 {
					noErr(t, w.Invalidate(slot, 1))
				}
			}
			before := p.Stats()
			p.tiers.mu.Unlock()
			if by == "hand" {
				packAll(t, p)
			}
			waitFor(t, "few clusters are left", func() bool { return p.Stats().Clusters <= before.Clusters/8 })
			after := p.Stats()
			if after.CompressedBytes >= before.CompressedBytes*3/4 || before.Clusters < 16 {
				t.Errorf("%d bytes in %d clusters before, %d in %d after", before.CompressedBytes, before.Clusters, after.CompressedBytes, after.Clusters)
			}
			got := make([]byte, PageSize)
			for slot := uint64(1); slot < 256; slot += 4 {
				if noErr(t, w.Load(slot, got)); !bytes.Equal(got, pages[slot*PageSize:][:PageSize]) {
					t.Fatalf("slot %d changed", slot)
				}
			}
			noErr(t, w.Store(2, pages[:PageSize])) // stays as it is
			if did := packAll(t, p); did.Clusters != 0 {
				t.Errorf("packed by none: %+v", did)
			}
			noErr(t, w.Invalidate(0, 256))
			waitFor(t, "clusters are not looked for, as there is none and will be none", func() bool {
				packAll(t, p) // the first time it may only end what the background had begun while there were some
				p.tiers.mu.Lock()
				defer p.tiers.mu.Unlock()
				return !p.tiers.sweep.clusters
			})
		})
	}
}

// A page that is used is not packed; ages survive the process, and many generations.
func TestAges(t *testing.T) {
	p := newTestPool(t, Options{Slots: 1024, Compressor: "lz4"})
	w := p.NewWorker()
	page := make([]byte, PageSize)
	used := []uint64{3, 4, 5, 20, 100}
	for slot := range uint64(256) {
		makeColdPage(page, slot)
		noErr(t, w.Store(slot, page))
	}
	for generation := range 700 {
		p.Tick()
		for _, slot := range used {
			noErr(t, w.Load(slot, page))
		}
		for slot := range uint64(256) {
			w := word(p.slots.word(slot).Load())
			age := p.clock.age(w)
			switch {
			case slices.Contains(used, slot) && age != 0:
				t.Fatalf("generation %d: slot %d, which is used, has age %d", generation, slot, age)
			case !slices.Contains(used, slot) && int(age) != generation+1 && (age < veryOld || generation < veryOld):
				t.Fatalf("generation %d: slot %d, which is not used, has age %d", generation, slot, age)
			}
		}
	}
	for more := true; more; {
		_, m, err := p.Recompress(0, 1<<20)
		noErr(t, err)
		more = m
	}
	for slot := range uint64(256) {
		if cold := word(p.slots.word(slot).Load()).cold(); cold == slices.Contains(used, slot) {
			t.Errorf("slot %d: cold: %t", slot, cold)
		}
	}
}

// The clock tells how long a page has been idle, however long generations were.
func TestClock(t *testing.T) {
	p := newTestPool(t, Options{Slots: 16})
	c, now := &p.clock, time.Hour
	c.init(c.at, now, time.Second)
	for i := range 300 {
		now += time.Duration(1+i%7) * time.Second
		c.tick(now)
	}
	touched := c.generation()
	began := c.since()
	for i := range 40 {
		now += time.Duration(1+i%5) * time.Second
		c.tick(now)
		for _, d := range []time.Duration{0, time.Second, 30 * time.Second, time.Minute} {
			least := c.idle(now, d)
			if least < 1 || int(least) > i+2 && d < now-began-10*time.Second {
				t.Errorf("idle for %v: age %d; a page touched %v ago has age %d", d, least, now-began, c.generation()-touched)
			}
			for age := uint8(1); age < 30; age++ {
				if since := now - c.began[c.generation()-age+1]; (age >= least) != (since >= d) {
					t.Errorf("age %d, untouched for at least %v: idle for %v: %t", age, since, d, age >= least)
				}
			}
		}
	}
}

// BenchmarkRecompress packs corpora, each file a corpus, and reports the CPU time of a page, what is gained, and the time to
// load a page that is cold.
func BenchmarkRecompress(b *testing.B) {
	all := corpora(b)
	for _, pages := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("cluster=%dKiB", pages*4), func(b *testing.B) {
			for b.Loop() {
				p, err := New(Options{Slots: 1 << 17, MaxBytes: 1 << 30, ClusterSize: pages * PageSize})
				noErr(b, err)
				w, slot := p.NewWorker(), uint64(0)
				for _, c := range all {
					noErr(b, w.Store(slot, c.pages))
					slot += uint64(len(c.pages) / PageSize)
				}
				before := p.Stats()
				packAll(b, p)
				for more := true; more; {
					_, more = p.Compact(1 << 20)
				}
				p.Trim()
				s, buf := p.Stats(), make([]byte, PageSize)
				for _, i := range newRand(b).Perm(int(slot))[:min(slot, 20000)] {
					noErr(b, w.Load(uint64(i), buf))
				}
				cold := p.Stats().ColdLoadTime
				b.ReportMetric(float64(s.PackCPU.Nanoseconds())/float64(s.Recompressed.seen())/1000, "µs/page")
				b.ReportMetric(float64(before.MemoryBytes)/float64(s.MemoryBytes), "gain")
				b.ReportMetric(float64(slot*PageSize)/float64(s.MemoryBytes), "ratio")
				b.ReportMetric(float64(cold.Quantile(0.5).Nanoseconds())/1000, "p50-µs")
				b.ReportMetric(float64(cold.Quantile(0.99).Nanoseconds())/1000, "p99-µs")
				b.ReportMetric(float64(s.ColdPages)/float64(slot)*100, "%cold")
				b.Logf("%+v, %d clusters", s.Recompressed, s.Clusters)
				noErr(b, p.Close())
			}
		})
	}
}
