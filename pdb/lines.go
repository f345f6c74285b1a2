package pdb

type lineTables struct{}

func (m *module) readLines() (*lineTables, error) { return nil, nil }
