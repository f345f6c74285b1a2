package dump_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/lab"
)

// TestOpen_SharedLongName: 4096 drivers whose names all are the one long text of
// the pool.
func TestOpen_SharedLongName(t *testing.T) {
	d := crash(lab.Windows26100, lab.Old)
	d.Drivers = d.Drivers[:1]
	for len(d.Drivers) < 4096 {
		d.Drivers = append(d.Drivers, d.Drivers[0])
	}
	d.Drivers[4095].Path = string(bytes.Repeat([]byte("a"), 32000)) + ".sys"
	b := labBytes(t, d)
	list := int(u32(b, 0x2030))
	for i := range 4096 {
		put32(b, list+0x90*i, u32(b, list+0x90*4095))
	}
	openBounded(t, "names", b)
}

// TestOpen_NameLongerThanThePool: the same by a length that lies.
func TestOpen_NameLongerThanThePool(t *testing.T) {
	d := crash(lab.Windows26100, lab.Old)
	d.Drivers = d.Drivers[:1]
	for len(d.Drivers) < 4096 {
		d.Drivers = append(d.Drivers, d.Drivers[0])
	}
	b := labBytes(t, d)
	list := int(u32(b, 0x2030))
	pool := int(u32(b, 0x2038))
	put32(b, pool, 0xffffffff)
	put32(b, 0x203c, 0xffffffff)
	for i := range 4096 {
		put32(b, list+0x90*i, uint32(pool))
	}
	openBounded(t, "names", b)
}

// TestOpen_TimeIsJSON: a time that no dump was written at does not cost the report.
func TestOpen_TimeIsJSON(t *testing.T) {
	b := labBytes(t, crash(lab.Windows26100, lab.Old))
	for _, v := range []uint64{0x4000000000000000, 119600064000000001} { // year 16215; 1980-01-01 minus
		binary.LittleEndian.PutUint64(b[0xfa8:], v)
		f := open(t, b)
		if !f.Header.Time.IsZero() && (f.Header.Time.Year() < 1980 || f.Header.Time.Year() > 2200) {
			_, err := json.Marshal(f.Header.Time)
			t.Errorf("Time = %v; JSON: %v", f.Header.Time, err)
		}
	}
}

// TestOpen_CutAnywhereInTagged: a cut in the tagged data is told.
func TestOpen_CutAnywhereInTagged(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		end := int(u32(b, damage.HeaderOf(b).Size+4))
		silent := 0
		for n := end; n < len(b)-len(d.Slack); n++ {
			f := open(t, b[:n])
			if !f.Truncated && len(f.Notes) == 0 {
				silent++
			}
		}
		// A dump that Windows converted ends with its last block: a cut right
		// behind one cannot be told from the end.
		if silent > len(open(t, b).Tagged)+1 {
			t.Errorf("%d of %d cuts behind the dump proper go unnoticed (RequiredDumpSpace says %#x, file was %#x)", silent, len(b)-len(d.Slack)-end, open(t, b).Header.RequiredSize, len(b))
		}
	})
}
