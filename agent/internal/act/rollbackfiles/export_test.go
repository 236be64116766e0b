package rollbackfiles

// For tests that take a remedy as far as one of its steps, or whose manager has unit folders of its own.
var (
	Put     = put
	Between = between
	Sweep   = sweep
)

// Record is what is on disk of such a remedy.
type Record = record

// WithDropIns is the kind with another idea of where drop-ins lie.
func (k Kind) WithDropIns(of func(folder string) string) Kind {
	k.dropIn = of
	return k
}
