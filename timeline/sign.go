package timeline

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bugcheck/internal/le"
)

// lastSign is what event 6008 says of the end: Windows notes the time every minute or so
// while it runs, and tells at the next start what it had noted.
type lastSign struct {
	utc  time.Time
	zone time.Duration // what the machine's clock was ahead of UTC
}

// lastSign reads event 6008. Its strings are in the machine's language and own time; its
// bytes begin with two SYSTEMTIMEs, the own time and UTC (seen alike in the logs of
// Windows 7, Server 2008 R2 and later; TestLastSign).
func (r *record) lastSign() (lastSign, bool) {
	b, err := hex.DecodeString(r.value2("Binary"))
	if err != nil || len(b) < 32 {
		return lastSign{}, false
	}
	own, ok1 := systemTime(b)
	utc, ok2 := systemTime(b[16:])
	if !ok1 || !ok2 || own.Sub(utc).Abs() > 15*time.Hour {
		return lastSign{}, false
	}
	return lastSign{utc: utc, zone: own.Sub(utc).Round(time.Minute)}, true
}

// value2 is a value whole, however long.
func (r *record) value2(name string) string {
	s, _ := r.Get(name)
	return s
}

// systemTime decodes a SYSTEMTIME: year, month, day of the week, day, hour, minute,
// second, millisecond, 16 bits each.
func systemTime(b []byte) (time.Time, bool) {
	f := func(n int) int { return int(le.U16(b, 2*n)) }
	if f(0) < 1990 || f(0) > 2200 || f(1) < 1 || f(1) > 12 || f(3) < 1 || f(3) > 31 || f(4) > 23 || f(5) > 59 || f(6) > 59 {
		return time.Time{}, false
	}
	return time.Date(f(0), time.Month(f(1)), f(3), f(4), f(5), f(6), f(7)*int(time.Millisecond), time.UTC), true
}

// ownTimes reads the words of event 6008 where its bytes are not there: the time and the
// date in the forms that English and Japanese Windows write. It is the machine's own time.
// There are two answers where nobody can say whether the month or the day comes first.
func ownTimes(clock, date string) (list []time.Time) {
	m := clockText.FindStringSubmatch(strings.TrimSpace(clock))
	if m == nil {
		return nil
	}
	h, minute, second := atoi(m[2]), atoi(m[3]), atoi(m[4])
	switch half := strings.ToUpper(m[1] + m[5]); {
	case (half == "PM" || half == "午後") && h < 12:
		h += 12
	case (half == "AM" || half == "午前") && h == 12:
		h = 0
	}
	if h > 23 || minute > 59 || second > 59 {
		return nil
	}
	for _, d := range parseDate(date) {
		list = append(list, d.Add(time.Duration(h)*time.Hour+time.Duration(minute)*time.Minute+time.Duration(second)*time.Second))
	}
	return list
}

var (
	clockText = regexp.MustCompile(`(?i)^(午前|午後)?\s*(\d{1,2}):(\d{2}):(\d{2})\s*(AM|PM)?$`)
	dateText  = regexp.MustCompile(`^(\d{1,4})\D+(\d{1,2})\D+(\d{1,4})\D*$`)
)

// parseDate reads 8/25/2015, 25.08.2015, 2015/08/25 and 2015-08-25.
func parseDate(s string) (list []time.Time) {
	m := dateText.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return nil
	}
	orders := [][3]int{{3, 1, 2}, {3, 2, 1}} // year, month, day
	if len(m[1]) == 4 {
		orders = [][3]int{{1, 2, 3}}
	}
	for _, o := range orders {
		year, month, day := atoi(m[o[0]]), atoi(m[o[1]]), atoi(m[o[2]])
		if year < 1990 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 {
			continue
		}
		if t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC); len(list) == 0 || !t.Equal(list[0]) {
			list = append(list, t)
		}
	}
	return list
}

// atoi is a number that a pattern has checked.
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
