package guest

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	without  = flag.String("without", "", "protections to leave out, by their names in door's TestWholeMachine, with commas")
	doorKind = flag.String("door", "ublk", "kind of door of TestPressure: ublk or fuse")
)

// pressure is a run of door's TestWholeMachine; see there for the fields.
type pressure struct {
	MiB, Touches  int64
	Rounds        int
	Pages         string
	Swap, Limit   int64
	Kills         int
	Dies          bool
	Without       []string
	memory, cpus  int
	expectedStall bool
}

func (p pressure) run(t *testing.T) (output string, stalled bool) {
	t.Helper()
	settings, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	v := vm{
		memory: p.memory, cpus: p.cpus, limit: 30 * time.Minute, stall: p.expectedStall,
		files: map[string]string{"door.test": testBinary(t, "door")},
		run: `echo 30 >/proc/sys/kernel/hung_task_timeout_secs
modprobe -a fuse loop ublk_drv
sysctl -q vm.min_free_kbytes=16384 vm.watermark_boost_factor=0
export ZSWAPD_TEST_ROOT=required
./door.test -door=` + *doorKind + ` -test.v -test.run 'TestWholeMachine$' -whole='` + string(settings) + `'
`,
	}
	return v.boot(t)
}

// The whole machine swaps to us, twice its memory, and our server is killed in the middle of it; or the pool cannot hold it, and the
// workload must be ended for it, and nobody else.
func TestPressure(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		for name, p := range map[string]pressure{
			"runs":   {MiB: 1024, Touches: 5000, Rounds: 1},
			"killed": {MiB: 1024, Touches: 5000, Rounds: 1, Kills: 10},
			"full":   {MiB: 1024, Touches: 5000, Rounds: 1, Pages: "random", Limit: 128, Dies: true}, // more than memory and pool hold
		} {
			t.Run(fmt.Sprintf("%s on %d CPUs", name, cpus), func(t *testing.T) {
				p.memory, p.cpus, p.Swap, p.Pages = 512, cpus, 1536, cmp.Or(p.Pages, "sparse")
				p.Without = strings.Split(*without, ",")
				p.Limit = cmp.Or(p.Limit, 320)
				output, _ := p.run(t)
				t.Log(tail(output, 1500))
			})
		}
	}
}
