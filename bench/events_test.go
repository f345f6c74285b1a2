package bench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"bugcheck/internal/evtx"
	"bugcheck/lab/eventlog"
	"bugcheck/timeline"
)

// BenchmarkEvents reads a System log of 100,000 records, all of them and those that a
// timeline wants.
func BenchmarkEvents(b *testing.B) {
	const records = 100_000
	list := make([]eventlog.Event, records)
	for i := range list {
		list[i] = eventlog.Event{
			Provider: fmt.Sprintf("Provider-%d", i%60), ID: uint16(i % 400), Level: 4, Time: time.Unix(1700000000+int64(i), 0), Channel: "System", Computer: "SRV1",
			Data: []eventlog.Value{{Name: "param1", Value: "a service of some name"}, {Name: "param2", Value: "running"}, {Name: "param3", Value: uint32(i)}},
		}
	}
	log := eventlog.Write(list, eventlog.Options{})
	b.Run("all", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			_, err := evtx.Read(bytes.NewReader(log), int64(len(log)), nil, func(evtx.Record) error { n++; return nil })
			if err != nil || n != records {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("timeline", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		b.ReportAllocs()
		for b.Loop() {
			l, err := timeline.Read(bytes.NewReader(log), int64(len(log)), "System.evtx")
			if err != nil || l.File.Records != records {
				b.Fatal(err)
			}
		}
	})
}
