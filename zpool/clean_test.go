package zpool

import "testing"

// An extent of clusters half of which are gone is emptied, although what is left of them is wanted by all their members.
func TestCleanClusters(t *testing.T) {
	b := newBacked(t, Options{MaxBytes: 32 << 20, ClusterSize: 4 * PageSize})
	for slot := range uint64(16000) {
		b.store(slot, slot<<12|1<<8)
	}
	b.p.Tick()
	packAll(t, b.p)
	if s := b.p.Stats(); s.ColdPages < 15000 || s.Clusters > 5000 {
		t.Fatalf("%d pages in %d clusters", s.ColdPages, s.Clusters)
	}
	writeAll(t, b.p)
	for slot := range uint64(16000) {
		if slot/windowSlots%2 == 0 {
			b.invalidate(slot)
		}
	}
	before := b.p.writeback.file.Load().FreeBytes()
	cleaned := Cleaned{}
	for more := true; more; {
		did, m, err := b.p.CleanBacking()
		noErr(t, err)
		cleaned.add(did)
		more = m
	}
	freed := b.p.writeback.file.Load().FreeBytes() - before
	if freed < cleaned.Bytes/2 || cleaned.Extents < 4 {
		t.Errorf("%+v, %d bytes freed, of %d that were wanted", cleaned, freed, b.p.Stats().Backing.LiveBytes)
	}
	noErr(t, b.p.Check())
	b.verify()
}
