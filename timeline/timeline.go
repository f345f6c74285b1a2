// Package timeline turns event logs and reports on dumps into the story of a machine's
// crashes: one incident for each time that Windows ended without a shutdown, with the
// stop code, the dump, what led up to it and what was new.
//
// One crash leaves several events, all written at the next start, which can be hours
// later: 1001 (there was a stop code), 41 (there was no shutdown), 6008 (the last sign of
// life). They are one incident because they stand in the log of one start of Windows.
//
// It knows the events of known.go, and not their messages, which stand in the files of
// Windows; what is said of an event is written here.
package timeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bugcheck/internal/evtx"
	"bugcheck/report"
	"bugcheck/win"
)

// Log is what of an event log matters here.
type Log struct {
	File    report.EventLog
	Damage  evtx.Damage
	records []record
}

// record is a known event.
type record struct {
	evtx.Record
	log   string
	known *known
	said  *report.Event // what is said of it; the same for everyone who names it
}

// is reports whether a record is a certain event.
func (r *record) is(provider string, id uint16) bool {
	return r.Event == id && r.known.provider == provider
}

// maxRecords bounds what is kept of one log; a System log of default size has about
// 40,000 records of all kinds.
const maxRecords = 1 << 20

// Read reads an event log. What is damaged is left out and told of in Damage; an error
// means that there is no event log.
func Read(r io.ReaderAt, size int64, file string) (*Log, error) {
	l := &Log{File: report.EventLog{File: file}}
	var err error
	l.Damage, err = evtx.Read(r, size, l.want, func(r evtx.Record) error {
		k := knownEvent(&r)
		if k != nil && len(l.records) < maxRecords {
			l.records = append(l.records, record{Record: r, log: file, known: k})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	slices.SortStableFunc(l.records, func(a, b record) int { return compare(a.ID, b.ID) })
	for i := range l.records {
		l.records[i].said = l.records[i].say()
	}
	return l, nil
}

// want counts every record and lets the known ones through.
func (l *Log) want(r *evtx.Record) bool {
	l.File.Records++
	if l.File.Channel == "" {
		l.File.Channel = r.Channel
	}
	if !r.Time.IsZero() {
		if l.File.From == nil || r.Time.Before(*l.File.From) {
			l.File.From = &r.Time
		}
		if l.File.To == nil || r.Time.After(*l.File.To) {
			l.File.To = &r.Time
		}
	}
	return knownEvent(r) != nil
}

func compare[T uint64 | int64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Options say what of the logs is asked for.
type Options struct {
	Since time.Time // incidents before it are left out; zero: all
	Lang  win.Lang
}

// Tell makes the story of the logs of one machine, and of the reports on its dumps.
func Tell(logs []*Log, reports []*report.Report, o Options) *report.Events {
	s := &story{lang: o.Lang, out: &report.Events{Schema: report.Schema, Incidents: []report.Incident{}}}
	s.logs(logs)
	s.sessions()
	s.incidents()
	s.reportsOfWER()
	s.dumps(reports)
	s.sort()
	s.since(o.Since)
	s.summarize()
	return s.out
}

// sort puts what is told of each incident into the order of its times.
func (s *story) sort() {
	for i := range s.out.Incidents {
		in := &s.out.Incidents[i]
		for _, list := range [][]report.Event{in.Before, in.Changed, in.Records} {
			slices.SortStableFunc(list, func(a, b report.Event) int { return a.At.Compare(b.At) })
		}
	}
}

// story is the events of a machine being put together.
type story struct {
	lang    win.Lang
	out     *report.Events
	system  []record // of the channel System, in the order in which they were logged
	other   []record
	starts  []*session
	crashes []*crash
}

// logs merges the files: archived logs continue each other, and may hold the same records.
func (s *story) logs(logs []*Log) {
	logs = slices.Clone(logs)
	slices.SortStableFunc(logs, func(a, b *Log) int {
		return compare(nano(a.File.From), nano(b.File.From))
	})
	type identity struct {
		id uint64
		at time.Time
		of *known
	}
	seen := map[identity]bool{}
	for _, l := range logs {
		s.out.Logs = append(s.out.Logs, l.File)
		s.noteDamage(l)
		for _, r := range l.records {
			key := identity{r.ID, r.Time, r.known}
			if seen[key] {
				continue
			}
			seen[key] = true
			if strings.EqualFold(r.Channel, "System") || r.Channel == "" {
				s.system = append(s.system, r)
			} else {
				s.other = append(s.other, r)
			}
		}
	}
}

func nano(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixNano()
}

func (s *story) noteDamage(l *Log) {
	d := l.Damage
	note := func(t report.Text) { s.note(l.File.File, t) }
	if d.Header {
		note(report.T("The file's header is damaged; its records were looked for without it."))
	}
	if d.Cut {
		note(report.T("The file ends within a block: it was cut off."))
	}
	if d.Records > 0 {
		note(report.T("%d stretches are damaged; the records in them are lost.", d.Records))
	}
	if d.Chunks > 0 {
		note(report.T("%d blocks have lost their header; what was found in them was taken.", d.Chunks))
	}
	if len(l.records) == maxRecords {
		note(report.T("Only the first %d records that matter were taken.", maxRecords))
	}
}

func (s *story) note(where string, t report.Text) {
	s.out.Notes = append(s.out.Notes, report.Note{Where: where, Text: t})
}

// since drops what lies before a time.
func (s *story) since(t time.Time) {
	if t.IsZero() {
		return
	}
	s.out.Incidents = slices.DeleteFunc(s.out.Incidents, func(i report.Incident) bool {
		at := i.At
		if at == nil {
			at = i.RestartedAt
		}
		return at != nil && at.Before(t)
	})
	s.out.Boots = slices.DeleteFunc(s.out.Boots, func(b report.Boot) bool { return b.At != nil && b.At.Before(t) })
}

func (s *story) summarize() {
	stops := 0
	for _, i := range s.out.Incidents {
		if i.Kind == report.IncidentStop {
			stops++
		}
	}
	switch {
	case len(s.out.Logs) == 0:
		s.out.Summary = report.T("No event log was read.")
	case len(s.out.Incidents) == 0:
		s.out.Summary = report.T("The event log tells of no crash.")
	case stops == len(s.out.Incidents):
		s.out.Summary = report.T("Crashes with a stop code: %d.", stops)
	case stops == 0:
		s.out.Summary = report.T("Ends without a shutdown or a stop code (power, reset, hang): %d.", len(s.out.Incidents))
	default:
		s.out.Summary = report.T("Crashes with a stop code: %d. Ends without a shutdown or a stop code (power, reset, hang): %d.", stops, len(s.out.Incidents)-stops)
	}
}
