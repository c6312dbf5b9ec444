package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/zswapd/zswapd/internal/cgroup"
	"github.com/zswapd/zswapd/internal/door"
	"github.com/zswapd/zswapd/internal/fuse"
	"github.com/zswapd/zswapd/internal/launch"
	"github.com/zswapd/zswapd/internal/pmqos"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// session is what a run has set up. What is nil was not.
type session struct {
	o      *Options
	record *swapdev.Run
	pool   *zpool.Pool
	hold   *pmqos.Hold
	trace  *recording
	door   *door.Door
	device device // the door, or what there is in its place
	awake  *pmqos.Hold
	group  *cgroup.Group
	opened fuse.Stats // of the door, before the command: the kernel's own first look at the device
}

func (o *Options) note(format string, args ...any) {
	fmt.Fprintf(o.Progress, "zswapd: %s\n", strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// setUp makes all that the command needs, or nothing.
func setUp(ctx context.Context, o *Options) (s *session, err error) {
	s = &session{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.takeDown())
		}
	}()
	launch.NeverStop()
	cleaned, err := swapdev.Clean(ctx, o.State, swapdev.CleanOptions{})
	for _, line := range cleaned {
		o.note("after a run that was killed: %s", line)
	}
	if err != nil {
		o.note("what a killed run left could not all be cleaned: %v", err)
	}
	if s.record, err = swapdev.NewRun(o.State); err != nil {
		return s, err
	}
	if o.PageCluster != nil {
		if err := s.record.SetPageCluster(*o.PageCluster); err != nil {
			return s, err
		}
	}
	if o.StayAwake {
		s.stayAwake()
	}
	if !o.NoSwap {
		if err := s.openDevice(ctx); err != nil {
			return s, err
		}
	}
	if err := ctx.Err(); err != nil {
		return s, context.Cause(ctx)
	}
	s.group, err = cgroup.CreateNoted("run-"+s.record.ID(), o.Memory, s.record.SetCgroup)
	if err == nil && o.NoSwap {
		err = s.group.ForbidSwap()
	}
	return s, err
}

func newPool(o *Options) (*zpool.Pool, error) {
	p, err := zpool.New(zpool.Options{
		Slots:      uint64(o.Swap / zpool.PageSize),
		MaxBytes:   o.PoolLimit,
		Compressor: o.Compressor,

		// No pressure: the command's own faults would look like it, and the CPU is better left to them.
		Background: &zpool.Background{}, RecompressCodec: o.ColdCodec, IdleAfter: o.IdleAfter, WritebackAfter: o.WritebackAfter,
	})
	if err != nil || o.Backing == "" {
		return p, err
	}
	err = p.AddBacking(zpool.BackingOptions{
		Path: o.Backing, Bytes: cmp.Or(o.BackingSize, max(o.Swap, minBacking)), DayBytes: o.WritebackLimit, MinFree: backingFree,
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if !p.BackingDirect() {
		o.note("%s: its file system has no direct input and output, so what is written to it goes through memory", o.Backing)
	}
	return p, nil
}

func (s *session) openDoor() (err error) {
	if s.pool, err = newPool(s.o); err != nil {
		return err
	}
	if s.o.HoldRate == HoldAuto {
		s.o.HoldRate = defaultHoldRate
		if d, err := pmqos.WakeUp(); err == nil && d < worthHolding {
			s.o.HoldRate = HoldOff
		}
	}
	s.hold, err = pmqos.New(pmqos.Options{Threshold: max(s.o.HoldRate, 0), Disable: s.o.HoldRate < 0})
	if err != nil {
		s.o.note("pages will come back slower than they could: %v", err)
	}
	if s.trace, err = startRecording(s.o); err != nil {
		return err
	}
	s.door, err = door.Open(door.Options{
		Pool: s.pool, Record: s.record, Label: "zswapd-run", Priority: s.o.Priority,
		SpinMax: s.o.SpinMax, Hold: s.hold, URing: s.o.Transport == TransportURing, Wrap: s.trace.wrap(),
	})
	if err != nil {
		return err
	}
	if err := s.door.URing(); err != nil && s.o.Transport == TransportURing {
		s.o.note("pages go through read and write instead of io_uring: %v", err)
	}
	for _, w := range s.door.Warnings() {
		s.o.note("%s", w)
	}
	s.opened = s.door.Stats()
	return nil
}

// stayAwake holds latency down until the run ends, whatever is swapped.
func (s *session) stayAwake() {
	var err error
	if s.awake, err = pmqos.New(pmqos.Options{Quiet: math.MaxInt64}); err != nil {
		s.o.note("idle CPUs are not kept awake: %v", err)
	}
	s.awake.Event()
}

// killLimit is how long the processes of a cgroup may take to die.
const killLimit = 30 * time.Second

// takeDown undoes setUp in reverse order. As long as the kernel has pages in the pool it neither gives up nor returns.
func (s *session) takeDown() (err error) {
	if s.group != nil {
		err = errors.Join(s.group.Kill(killLimit), s.group.Remove())
	}
	if s.device != nil {
		err = errors.Join(err, s.closeDevice())
	}
	err = errors.Join(err, s.trace.discard())
	if s.hold != nil {
		err = errors.Join(err, s.hold.Close())
	}
	if s.pool != nil {
		err = errors.Join(err, s.pool.DropBacking(), s.pool.Close())
	}
	err = errors.Join(err, s.awake.Close())
	if s.record != nil && s.o.PageCluster != nil {
		err = errors.Join(err, s.record.RestorePageCluster())
	}
	if s.record != nil && err == nil {
		err = s.record.Close()
	}
	return err
}

// closeDevice turns swap off, however long it takes: what is swapped out lives in this process, or is other programs'. A signal while there is
// not enough memory for it makes it try all the same.
func (s *session) closeDevice() error {
	signals := make(chan os.Signal, 1)
	launch.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	off := swapdev.OffOptions{}
	if s.o.Live != nil {
		off.Progress = func(used, _ uint64) { s.o.Live.Show("bringing back " + report.Bytes(int64(used))) }
	}
	for {
		err := s.device.Close(context.Background(), off)
		s.o.Live.Clear()
		var room *swapdev.NoRoomError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &room) && !s.swapIsOn():
			return err
		}
		s.o.note("%v; trying again, as other programs' memory is in here. Ctrl-C tries without asking for room", err)
		select {
		case <-signals:
			off.Force = true
		case <-time.After(2 * time.Second):
		}
	}
}

func (s *session) swapIsOn() bool {
	_, err := s.device.Used()
	return !errors.Is(err, swapdev.ErrOff)
}
