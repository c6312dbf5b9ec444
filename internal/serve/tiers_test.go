package serve

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/logs"
	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/zpool"
)

// The count of the day is kept where systemd says that the service may keep something, and nowhere else.
func TestNoteFile(t *testing.T) {
	for dirs, want := range map[string]string{
		"": "", "/var/lib/zswapd": "/var/lib/zswapd/written-today", "/a:/b": "/a/written-today", "relative": "",
	} {
		t.Setenv("STATE_DIRECTORY", dirs)
		if got := noteFile(); got != want {
			t.Errorf("STATE_DIRECTORY=%q: %q, want %q", dirs, got, want)
		}
	}
}

// A disk that refuses what is written to the backing file is in the log, and in what status shows.
func TestRefusedWritesAreTold(t *testing.T) {
	undo := backing.SetFault(func(op backing.Op, _, _ int64) error {
		if op == backing.OpWrite {
			return unix.EIO
		}
		return nil
	}, nil)
	defer undo()
	p, err := zpool.New(zpool.Options{Slots: 4096, MaxBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := config.Load("", 16<<30)
	if err != nil {
		t.Fatal(err)
	}
	l := logs.New(io.Discard, false)
	defer l.Close()
	d := &Daemon{o: Options{Log: l}, log: l.Logger, config: c, pool: p, over: make(chan struct{})}
	d.state.Store(StateServing)
	done := make(chan struct{})
	go func() { defer close(done); d.watchBacking(time.Millisecond) }()
	defer func() { close(d.over); <-done }()
	told := func() bool {
		return slices.ContainsFunc(d.Info().Warnings, func(w string) bool { return strings.Contains(w, unix.EIO.Error()) })
	}
	if err := p.AddBacking(zpool.BackingOptions{Path: t.TempDir(), Bytes: 8 << 20}); err != nil || told() {
		t.Fatal(err, d.Info().Warnings)
	}
	w, page := p.NewWorker(), make([]byte, zpool.PageSize)
	for slot := range uint64(64) {
		_, _ = rand.NewChaCha8([32]byte{byte(slot)}).Read(page)
		if err := w.Store(slot, page); err != nil {
			t.Fatal(err)
		}
	}
	p.Tick()
	if _, _, err := p.WriteBack(1, 1, 1<<20); err == nil || !told() {
		t.Errorf("%v; status has %q", err, d.Info().Warnings)
	}
	for range 6000 {
		if e := d.Events(); len(e) > 0 && strings.Contains(e[0].Message, unix.EIO.Error()) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the log has %+v", d.Events())
}

// Each page is told of once: in one of the tiers, in the backing file, or as a same-filled one.
func TestTiersAddUp(t *testing.T) {
	p, err := zpool.New(zpool.Options{Slots: 1024, MaxBytes: 8 << 20, Compressor: "lz4"})
	noErr(t, err)
	defer func() { noErr(t, errors.Join(p.Check(), p.Close())) }()
	noErr(t, p.Set(zpool.Settings{MaxBytes: 8 << 20, AcceptThresholdPercent: 90, RecompressCodec: "zstd", ClusterSize: 16 << 10, MinWastePercent: 6}))
	noErr(t, p.AddBacking(zpool.BackingOptions{Path: t.TempDir(), Bytes: 8 << 20}))
	w, source := p.NewWorker(), pagegen.Source{Mix: pagegen.Typical, Seed: 1}
	store := func(first, n uint64) {
		page := make([]byte, zpool.PageSize)
		for slot := first; slot < first+n; slot++ {
			source.Fill(page, slot, 0)
			noErr(t, w.Store(slot, page))
		}
	}
	store(0, 512)
	for range 3 {
		p.Tick()
	}
	_, _, err = p.WriteBackColdest(64 << 10)
	noErr(t, err)
	_, _, err = p.Recompress(0, 256)
	noErr(t, err)
	store(512, 512)
	d, s, c := &Daemon{pool: p, config: mustConfig(t)}, p.Stats(), control.Stats{}
	d.tiers(&c, &s)
	told := s.SameFilledPages + c.Backing.Pages
	for _, tier := range c.Tiers {
		told += tier.Pages
		if tier.Pages == 0 {
			t.Errorf("no page is %s", tier.Name)
		}
	}
	if told != s.StoredPages || s.SameFilledPages == 0 || c.Backing.Pages == 0 {
		t.Errorf("%d pages are stored, and %d told of: %d same-filled, %d on disk, %+v", s.StoredPages, told, s.SameFilledPages, c.Backing.Pages, c.Tiers)
	}
}
