package main

import (
	"encoding/json"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/doctor"
)

// The names are part of the contract.
func TestDoctorDocument(t *testing.T) {
	report := doctor.Report{Passed: true, Checks: []doctor.Check{
		{Name: "cards", Result: doctor.Warn, Detail: "d", Next: advice.Do(advice.ListReaders, advice.Switch(advice.Wait))},
		{Name: "readers", Result: doctor.Pass},
	}}
	env := newSession(newEnv())
	env.line.About = newRootCmd(env)
	got, err := json.Marshal(env.doctorDocument(report))
	want := `{"checks":[{"name":"cards","result":"warn","detail":"d","hint":"cardctl list-readers --wait"},` +
		`{"name":"readers","result":"pass","detail":""}],"passed":true}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
