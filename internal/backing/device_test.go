package backing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// loopDevice returns a block device of so many bytes, all zeros, and an open file of it.
func loopDevice(t *testing.T, size int64) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		cannot(t, "a loop device needs root")
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	noErr(t, err)
	defer file.Close()
	noErr(t, file.Truncate(size))
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		cannot(t, err)
	}
	defer control.Close()
	for range 20 { // others may be quicker
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		noErr(t, err)
		dev, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		noErr(t, err)
		c := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(dev.Fd()), &c); err == nil {
			t.Cleanup(func() { noErr(t, dev.Close()) })
			return dev
		}
		noErr(t, dev.Close())
		if !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
	}
	cannot(t, "no loop device to be had")
	return nil
}

// cannot skips a test for what this machine lacks, but fails it where it must not be skipped.
func cannot(t *testing.T, why any) {
	t.Helper()
	if os.Getenv("ZSWAPD_TEST_ROOT") == "required" {
		t.Fatal(why, ", and ZSWAPD_TEST_ROOT=required")
	}
	t.Skip(why)
}

const deviceBytes = 24*ExtentBytes + 12*512 // no whole extents, as partitions are

// fillDevice uses a device as a backing file until its process is killed: all of it is full of what was written.
func fillDevice(t *testing.T, dev *os.File) {
	t.Helper()
	w := newOwner(t, Options{Bytes: MaxBytes})
	file, err := Create(dev.Name())
	noErr(t, err)
	noErr(t, w.f.Remove())
	w.f, err = New(w.a, 0, file, w.o)
	noErr(t, err)
	r := newRand(t)
	for range 2 { // what is left for the cleaner is somewhere else then
		for p := range w.has {
			w.drop(p)
		}
		for err = nil; err == nil; {
			_, err = w.write(r, 2*ExtentBytes)
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	w.reopen()
	w.readAll()
	if n := w.f.Stats().LiveBytes; n < (24-1-5-spareExtents)*ExtentBytes*9/10 {
		t.Fatalf("%d bytes were written", n)
	}
	w.check()
	clear(w.has)
	noErr(t, w.f.Close())
	file, err = Create(filepath.Join(t.TempDir(), "other")) // for the owner to end with
	noErr(t, err)
	noErr(t, w.f.state.end())
	w.f, err = New(w.a, 0, file, Options{Bytes: 8 * ExtentBytes})
	noErr(t, err)
}

// A device that was ours, as a killed process leaves it, is taken again. One that anybody has made anything of is refused, before us and
// after us, whatever is left of our mark.
func TestCreateOnDevice(t *testing.T) {
	dev := loopDevice(t, deviceBytes)
	for _, former := range []bool{false, true} {
		if former {
			fillDevice(t, dev)
			fillDevice(t, dev)
			all, err := io.ReadAll(io.NewSectionReader(dev, 0, deviceBytes))
			noErr(t, err)
			middle := all[headBytes : len(all)-2*tailBytes]
			if bytes.Count(middle, make([]byte, maxBlock)) > len(middle)/maxBlock/10 {
				t.Fatal("most of the device was not written: the test does not test")
			}
		}
		const size = deviceBytes
		for _, c := range []struct {
			what  string
			at    int64
			magic string
		}{
			{"MBR", 510, "\x55\xaa"}, {"GPT", 512, "EFI PART"}, {"LVM", 512 + 24, "LVM2 001"}, {"ext4", 1024 + 56, "\x53\xef"},
			{"swap", 4086, "SWAPSPACE2"}, {"md 1.2", 4096, "\xfc\x4e\x2b\xa9"}, {"bcache", 4096 + 24, "\xc6\x85\x73\xf6"},
			{"iso9660", 32769, "CD001"}, {"btrfs", 64<<10 + 64, "_BHRfS_M"}, {"ZFS, first label", 16 << 10, "\x01\x01"},
			{"ZFS, second label", 256<<10 + 16<<10, "\x01\x01"}, {"VMFS", 1 << 20, "\x0d\xd0\x01\xc0"}, {"VMFS", 2 << 20, "\x5e\xf1\xab\x2f"},
			{"LUKS2, second header", 4 << 20, "SKUL\xba\xbe"}, {"ZFS, third label", size - 512<<10 + 16<<10, "\x01\x01"},
			{"md 0.90", (size - 64<<10) &^ (64<<10 - 1), "\xfc\x4e\x2b\xa9"}, {"md 1.0", (size - 8<<10) &^ 4095, "\xfc\x4e\x2b\xa9"},
			{"DRBD", size - 4096, "\x83\x74\x02\x6d"}, {"GPT, the other one", size - 512, "EFI PART"}, {"the last byte", size - 1, "x"},
		} {
			was := make([]byte, len(c.magic))
			_, err := dev.ReadAt(was, c.at)
			noErr(t, err)
			_, err = dev.WriteAt([]byte(c.magic), c.at)
			noErr(t, err)
			noErr(t, dev.Sync())
			if f, err := Create(dev.Name()); err == nil {
				noErr(t, f.Close())
				t.Errorf("%s at %d, on a former one %t: taken", c.what, c.at, former)
			}
			if b := make([]byte, len(c.magic)); true {
				_, err = dev.ReadAt(b, c.at)
				if noErr(t, err); string(b) != c.magic {
					t.Errorf("%s at %d, on a former one %t: written over", c.what, c.at, former)
				}
			}
			_, err = dev.WriteAt(was, c.at)
			noErr(t, err)
			noErr(t, dev.Sync())
		}
		f, err := Create(dev.Name())
		noErr(t, err)
		noErr(t, f.Close())
	}
}

// What other programs make of a device that was ours, they keep.
func TestCreateAfterOthers(t *testing.T) {
	dev := loopDevice(t, deviceBytes)
	for _, command := range [][]string{{"mkswap"}, {"mkfs.ext4", "-qF"}} { // others put what is theirs where TestCreateOnDevice does
		t.Run(command[0], func(t *testing.T) {
			path, err := exec.LookPath(command[0])
			if err != nil {
				cannot(t, err)
			}
			_, err = dev.WriteAt(make([]byte, deviceBytes), 0)
			noErr(t, err)
			noErr(t, dev.Sync())
			fillDevice(t, dev)
			if out, err := exec.Command(path, append(command[1:], dev.Name())...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if f, err := Create(dev.Name()); err == nil {
				noErr(t, f.Close())
				t.Error("taken")
			}
		})
	}
}

// A device must have room for what stays empty.
func TestSmallDevice(t *testing.T) {
	for extents, want := range map[int64]bool{5 + minExtents: false, 5 + minExtents + 1: true} {
		dev := loopDevice(t, extents*ExtentBytes)
		w := newOwner(t, Options{})
		noErr(t, w.f.Remove())
		file, err := Create(dev.Name())
		noErr(t, err)
		f, err := New(w.a, 0, file, Options{Bytes: MaxBytes})
		if (err == nil) != want {
			t.Errorf("%d MiB: %v", extents, err)
		}
		if err != nil {
			file, err = Create(w.path)
			noErr(t, err)
			f, err = New(w.a, 0, file, w.o)
			noErr(t, err)
		}
		w.f = f
	}
}
