package report

// Written is the tier in the backing file. Pages, Bytes and FileBytes are those at the end of the command.
type Written struct {
	Pages          int64     `json:"pages"`
	Bytes          int64     `json:"bytes"` // that they take of the file; what several pages share counts for each
	FileBytes      int64     `json:"file_bytes"`
	PagesOut       uint64    `json:"pages_out"`
	BytesOut       int64     `json:"bytes_out"`       // written, the cleaner's included
	PagesTouched   uint64    `json:"pages_touched"`   // that were used while they were being written, and stayed
	Reads          uint64    `json:"reads"`           // of objects
	Load           Quantiles `json:"load_ns"`         // of one page that had to be read
	ExtentsCleaned uint64    `json:"extents_cleaned"` // by the log cleaner
	WriteErrors    uint64    `json:"write_errors"`    // batches that the disk refused
	LastError      string    `json:"last_error,omitempty"`
}

func (w *Written) lines(line func(head, format string, args ...any)) {
	if w == nil {
		return
	}
	line("written back", "%s pages in %s; %s read back, median %s, 99 %% within %s; %s pages in the file at the end",
		Count(w.PagesOut), Bytes(w.BytesOut), Count(w.Reads), Duration(w.Load.P50), Duration(w.Load.P99), Count(w.Pages))
	if w.LastError != "" {
		line("", "%s batches refused, the last: %s", Count(w.WriteErrors), w.LastError)
	}
}
