package ublk

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrForeign: the device is not the one that is meant; it was made by somebody else, or is gone.
	ErrForeign = errors.New("ublk: the device is not ours")
	// ErrServed: the device's server lives.
	ErrServed = errors.New("ublk: the device has a server")
)

const (
	maxNumber = 255 // of a device that we make

	// recoverLimit is how long the kernel may take to let go of a dead server.
	recoverLimit = 10 * time.Second
	recoverPause = time.Millisecond

	deleteLimit = 5 * time.Second
)

// step is where a test may kill us.
var step = func(string) {}

// Create makes a device and serves it. Tag is how a later process knows that it is ours: see Find. intent, if any, is told each
// block device before we try to make it, and Create gives up if it fails; the last one told is the one made.
func (s *Server) Create(tag uint64, intent func(device string) error) error {
	err := s.add(tag, intent)
	if err == nil {
		err = s.create()
	}
	if err != nil {
		return fmt.Errorf("ublk: create: %w", errors.Join(err, s.Delete()))
	}
	return nil
}

// add makes the device of the first free number.
func (s *Server) add(tag uint64, intent func(device string) error) error {
	for number := range maxNumber + 1 {
		if _, err := s.control.info(number); err != unix.ENODEV {
			continue
		}
		if intent != nil {
			if err := intent(Path(number)); err != nil {
				return err
			}
		}
		want := info{
			queues: 1, depth: uint16(s.tags()), maxBytes: uint32(len(s.buf)), number: uint32(number), flags: featuresWanted, tag: tag,
		}
		var got info
		err := s.control.do(cmdAddDev, number, 0, infoBytes, want.encode, got.decode)
		if err == unix.EEXIST {
			continue // somebody was faster
		}
		if err != nil {
			return fmt.Errorf("add device %d: %w", number, err)
		}
		s.number = number
		if got.flags&featuresWanted != featuresWanted || got.depth != want.depth || got.maxBytes != want.maxBytes {
			return fmt.Errorf("the driver gives %+v, we asked for %+v", got, want)
		}
		return nil
	}
	return errors.New("no free number for a device")
}

func (s *Server) create() error {
	err := s.control.do(cmdSetParams, s.number, 0, paramsBytes, func(b []byte) { putParams(b, s.cfg.Pages, s.cfg.MaxPages) }, nil)
	if err != nil {
		return fmt.Errorf("set its parameters: %w", err)
	}
	if err := s.attach(s.number); err != nil {
		return err
	}
	if err := s.control.simple(cmdStartDev, s.number, uint64(os.Getpid())); err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	return nil
}

// Recover serves the device of a server that is dead, or has called Close. It waits until the kernel has let go of that one.
// All its requests come, those that it had taken once more. If it fails, the device is as it was and can be recovered by
// another Server; this one is to be closed.
func (s *Server) Recover(number int) error {
	if err := s.recover(number); err != nil {
		return fmt.Errorf("ublk: recover %s: %w", Path(number), err)
	}
	return nil
}

func (s *Server) recover(number int) error {
	if err := s.startRecovery(number); err != nil {
		return err
	}
	step("recover: begun")
	if err := s.attach(number); err != nil {
		return err
	}
	step("recover: attached")
	return s.control.simple(cmdEndUserRecovery, number, uint64(os.Getpid()))
}

func (s *Server) startRecovery(number int) error {
	for end := now() + recoverLimit; ; time.Sleep(recoverPause) {
		err := s.control.simple(cmdStartUserRecovery, number, 0)
		switch {
		case err == nil:
			return nil
		case err == unix.ENODEV:
			return ErrForeign
		case err == unix.EINVAL:
			// A server that was recovering it died when it had begun, and before it had fetched anything: it is begun.
			i, err := s.control.info(number)
			if err == nil && i.state != stateQuiesced {
				err = fmt.Errorf("it is in state %d, features %#x: %w", i.state, i.flags, unix.EINVAL)
			}
			return err
		case err != unix.EBUSY:
			return err
		}
		if now() > end {
			return ErrServed
		}
	}
}

// Delete takes the device away, which nobody may use any more, and closes the Server. If somebody has it open, without being able
// to read or write any more, that is an error after a while; it is gone when he closes it, and then another Delete finds it gone.
func (s *Server) Delete() error {
	if s.number < 0 {
		return s.Close()
	}
	s.endOnce.Do(func() {
		err := s.control.simple(cmdStopDev, s.number, 0) // we serve to the end
		err = errors.Join(err, s.leave())
		err = errors.Join(err, s.del(), s.control.close())
		if err != nil {
			s.endErr = fmt.Errorf("ublk: delete %s: %w", Path(s.number), err)
		}
	})
	if s.endErr != nil && isGone(s.number) {
		s.endErr = nil
	}
	return s.endErr
}

// isGone asks the driver anew: the server's own way to it is closed.
func isGone(number int) bool {
	c, err := openControl()
	if err != nil {
		return false
	}
	defer c.close()
	_, err = c.info(number)
	return err == unix.ENODEV
}

// del makes the driver forget the device, and waits until it has.
func (s *Server) del() error {
	err := s.control.simple(cmdDelDevAsync, s.number, 0)
	if err == unix.EOPNOTSUPP {
		return s.control.simple(cmdDelDev, s.number, 0) // which waits as long as it takes
	}
	for end := now() + deleteLimit; err == nil; time.Sleep(recoverPause) {
		if _, e := s.control.info(s.number); e == unix.ENODEV {
			return nil
		}
		if now() > end {
			return fmt.Errorf("somebody has had it open for %v", deleteLimit)
		}
	}
	return err
}

// Remove takes a device away that nobody serves or uses, and closes the Server.
func (s *Server) Remove(number int) error {
	s.number = number
	return s.Delete()
}

// Find returns the number of a block device that was created with the tag, else ErrForeign; and whether its disk is there.
func (s *Server) Find(device string, tag uint64) (number int, live bool, err error) {
	if _, err := fmt.Sscanf(device, "/dev/ublkb%d", &number); err != nil || Path(number) != device {
		return -1, false, fmt.Errorf("ublk: %q is no ublk device", device)
	}
	i, err := s.control.info(number)
	if err == unix.ENODEV || err == nil && i.tag != tag {
		return -1, false, ErrForeign
	}
	return number, i.state != stateDead, err
}
