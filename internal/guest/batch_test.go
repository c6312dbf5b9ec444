package guest

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	batch    = flag.String("batch", "", "script")
	batchCPU = flag.Int("cpus", 2, "")
	batchMem = flag.Int("mem", 512, "")
	batchMin = flag.Int("minutes", 40, "")
)

func TestBatch(t *testing.T) {
	script, err := os.ReadFile(*batch)
	if err != nil {
		t.Skip(err)
	}
	v := vm{memory: *batchMem, cpus: *batchCPU, limit: time.Duration(*batchMin) * time.Minute, run: string(script),
		files: map[string]string{"door.test": testBinary(t, "door")}}
	output, _ := v.boot(t)
	t.Log(tail(output, 6000))
}
