package machine

import (
	"strconv"
	"strings"
)

// Noise is what happened to the CPUs between two moments, as shares of their time from 0 to 1.
type Noise struct {
	Busy   float64 `json:"busy"`   // we and everybody else here
	Stolen float64 `json:"stolen"` // the hypervisor gave it to others

	// What Busy comes to, in seconds of CPUs: in programs, and in the kernel with its threads and interrupts.
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
}

// Watch begins to look; the function that it returns says what happened since.
func Watch() (end func() Noise) {
	before := parseStat(read("/proc/stat"))
	return func() Noise { return parseStat(read("/proc/stat")).since(before) }
}

const perSecond = 100 // ticks: USER_HZ, the same everywhere

// ticks of all CPUs together since the machine started: the first line of /proc/stat.
type ticks struct{ all, idle, stolen, user, system float64 }

func parseStat(text string) (t ticks) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 { // cpu user nice system idle iowait irq softirq steal
		return t
	}
	for i, f := range fields[1:9] {
		n, _ := strconv.ParseFloat(f, 64)
		t.all += n
		switch i {
		case 0, 1:
			t.user += n
		case 2, 5, 6:
			t.system += n
		case 3, 4:
			t.idle += n
		case 7:
			t.stolen = n
		}
	}
	return t
}

func (t ticks) since(before ticks) Noise {
	all := t.all - before.all
	if all <= 0 {
		return Noise{}
	}
	stolen := (t.stolen - before.stolen) / all
	return Noise{
		Busy: max(0, 1-(t.idle-before.idle)/all-stolen), Stolen: stolen,
		UserSeconds: (t.user - before.user) / perSecond, SystemSeconds: (t.system - before.system) / perSecond,
	}
}
