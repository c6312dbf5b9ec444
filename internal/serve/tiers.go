package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zswapd/zswapd/internal/config"
	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/psi"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// This file is where pages go when nobody uses them: packed tighter, and then to a disk.

// poolWork adds what a pool that is served does by itself. A kernel that does not tell its pressure is no reason not to serve.
func (d *Daemon) poolWork(o zpool.Options) zpool.Options {
	said := map[int]time.Time{} // a pool at its limit goes up and down
	b := &zpool.Background{Warn: func(percent int, limit int64) {
		if now := time.Now(); now.Sub(said[percent]) > warnEvery {
			said[percent] = now
		} else {
			return
		}
		d.log.Warn(fmt.Sprintf("the pool has used %d %% of its limit, %s", percent, report.Bytes(limit)))
	}}
	if m, err := psi.Open(psi.Path); err == nil {
		b.Pressure = m.Pressure
	} else {
		d.log.Warn(err.Error() + ": the background works the same, however short memory is")
	}
	o.Background, o.ReserveThread = b, d.provider
	return o
}

// warnEvery is the least time between two words about a pool that fills up.
const warnEvery = time.Minute

// poolSettings are what the configuration says of a pool that works.
func poolSettings(c *config.Config) zpool.Settings {
	return zpool.Settings{
		MaxBytes: c.PoolLimit(), AcceptThresholdPercent: c.Pool.AcceptThresholdPercent,
		RecompressCodec: c.Recompress.Codec, IdleAfter: c.Recompress.IdleAfter, ClusterSize: int(c.Recompress.ClusterSize),
		WritebackAfter: c.Writeback.IdleAfter, MinWastePercent: c.Compact.MinWastePercent,
	}
}

func (d *Daemon) setPool(c *config.Config) error { return d.pool.Set(poolSettings(c)) }

// minFree is what the file system of a backing file keeps.
const minFree = 512 << 20

func backingOptions(c *config.Config) zpool.BackingOptions {
	return zpool.BackingOptions{
		Path: c.Writeback.File, Bytes: c.Writeback.Size, DayBytes: c.Writeback.LimitPerDay, MinFree: minFree, Note: noteFile(),
	}
}

// noteFile is where what was written in the last 24 hours outlives the machine: in the folder that the service manager has made for
// us. Without one, a stop or a reboot ends the count.
func noteFile() string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "written-today")
}

func (d *Daemon) setBackingLimits(c *config.Config) error {
	if d.pool.Backing() == nil {
		return nil
	}
	return d.pool.SetBackingLimits(backingOptions(c))
}

// setBacking gives the pool another backing file, or none: what is in the old one comes back into memory, or it stays. If the new
// one cannot be had, the pool gets the old one back. The manager has a copy of it before a page is in it.
func (d *Daemon) setBacking(c *config.Config) error {
	had := d.pool.Backing() != nil
	if had {
		if err := d.pool.RemoveBacking(false); err != nil {
			return err
		}
		if err := d.unkeepBacking(); err != nil {
			return err
		}
	}
	err := d.addBacking(c)
	if err != nil && had {
		if e := d.addBacking(d.config); e != nil {
			return fmt.Errorf("%w; and the old one is gone: %w", err, e)
		}
	}
	return err
}

// addBacking gives a pool without one the backing file of the configuration, if it has one.
func (d *Daemon) addBacking(c *config.Config) error {
	if c.Writeback.File == "" {
		return nil
	}
	o := backingOptions(c)
	o.Keep = func(f *os.File) error {
		if d.door == nil || d.o.Manager == nil { // the door is opened later, and has it kept
			return nil
		}
		d.handles = append(d.handles, door.BackingHandle)
		return errors.Join(d.o.Manager.Store(door.BackingHandle, int(f.Fd())), d.o.Manager.Barrier())
	}
	if err := d.pool.AddBacking(o); err != nil {
		return err
	}
	if err := d.pool.BackingNoteErr(); err != nil {
		d.log.Warn("what was written in the last 24 hours is forgotten with the next stop or reboot: " + err.Error())
	}
	if !d.pool.BackingDirect() {
		d.log.Warn(c.Writeback.File + ": its file system has no direct input and output, so what is written to it goes through memory")
	}
	return nil
}

// watchBacking says so when the disk refuses what is written to the backing file, once each so often.
func (d *Daemon) watchBacking(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for said := uint64(0); ; {
		select {
		case <-d.over:
			return
		case <-tick.C:
		}
		n, err := d.pool.BackingErr()
		if n > said {
			d.log.Warn(refused(n, err))
		}
		said = n // another file begins anew
	}
}

// refused says that so many batches could not be written.
func refused(batches uint64, last error) string {
	return fmt.Sprintf("the backing file could not be written %d times since this process began to use it, the last error: %v; "+
		"the pages stay in memory", batches, last)
}

// unkeepBacking takes the backing file out of the manager's store.
func (d *Daemon) unkeepBacking() error {
	i := slices.Index(d.handles, door.BackingHandle)
	if i < 0 {
		return nil
	}
	d.handles = slices.Delete(d.handles, i, i+1)
	return errors.Join(d.o.Manager.Remove(door.BackingHandle), d.o.Manager.Barrier())
}

// adoptBacking returns the backing file of a predecessor, nil without one.
func (d *Daemon) adoptBacking() *os.File {
	if fd := d.handed(door.BackingHandle); fd >= 0 {
		return os.NewFile(uintptr(fd), door.BackingHandle)
	}
	return nil
}

// Age makes all pages one generation older, and packs those that are idle.
func (d *Daemon) Age(ctx context.Context) (w control.Work, err error) {
	d.pool.Tick()
	before := d.pool.Stats().MemoryBytes
	for w.More = true; w.More && ctx.Err() == nil; {
		did, more, err := d.pool.Recompress(d.pool.Settings().IdleAfter, ageStep)
		w.Pages += did.Pages
		if w.More = more; err != nil {
			return w, err
		}
	}
	d.pool.Trim()
	w.FreedBytes = max(before-d.pool.Stats().MemoryBytes, 0)
	return w, nil
}

const (
	ageStep       = 256     // pages that are packed before it is looked whether somebody still waits
	writebackStep = 4 << 20 // bytes that are written at once
)

// WriteBack writes the coldest pages: those that nobody has touched in this generation at least.
func (d *Daemon) WriteBack(ctx context.Context, bytes int64) (w control.Work, err error) {
	if d.pool.Backing() == nil {
		return w, fmt.Errorf("%w: there is no backing file (writeback.file)", control.ErrUnsupported)
	}
	d.pool.Tick()
	before := d.pool.Stats().MemoryBytes
	left := cmp.Or(bytes, 1<<62)
	for w.More = true; w.More && left > 0 && ctx.Err() == nil; {
		did, more, err := d.pool.WriteBackColdest(min(left, writebackStep))
		w.Pages, left, w.More = w.Pages+did.Pages, left-did.Bytes, more && did.Pages > 0
		if err != nil {
			return w, err
		}
	}
	d.pool.Trim()
	w.FreedBytes = max(before-d.pool.Stats().MemoryBytes, 0)
	return w, nil
}

// tiers adds to what people are told of the pool.
func (d *Daemon) tiers(s *control.Stats, p *zpool.Stats) {
	settings := d.pool.Settings()
	inMemory := p.StoredPages - p.SameFilledPages - p.WrittenPages // same-filled ones are in no tier
	s.Tiers = []control.Tier{
		{Name: "fast", Codec: d.pool.Compressor(), Pages: inMemory - p.ColdPages, CompressedBytes: p.CompressedBytes - p.ColdBytes},
		{Name: "dense", Codec: settings.RecompressCodec, Pages: p.ColdPages, CompressedBytes: p.ColdBytes},
	}
	s.Aged, s.Recompressed, s.Promoted = p.Ticks, p.Recompressed.Pages, p.Promoted
	s.WrittenBack, s.ReadBack = p.WrittenBack.Pages, p.DiskLoadTime.Count
	if b := &p.Backing; b.Bytes > 0 {
		s.Backing = &control.Backing{SizeBytes: b.Bytes, UsedBytes: b.LiveBytes, Pages: p.WrittenPages, Encrypted: true}
		d.mu.Lock()
		s.Backing.Path = d.config.Writeback.File
		d.mu.Unlock()
	}
}
