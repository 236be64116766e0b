package agenttest

import "testing"

func TestPgBouncer(t *testing.T) {
	p := PgBouncer(t)
	c, err := p.Connect(t.Context(), p.User, p.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.Exec(t.Context(), "SELECT 1").Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := p.Show(t.Context(), "servers")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0]["database"] != p.Database {
		t.Errorf("servers: %v, want one of database %s", rows, p.Database)
	}
}
