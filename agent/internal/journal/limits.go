package journal

import "time"

// Limits are all the bounds of a journal in one place. A zero field of Options.Limits means the
// default of DefaultLimits.
type Limits struct {
	Incidents   int           // closed incidents kept
	IncidentAge time.Duration // closed incidents older than this go
	AttemptAge  time.Duration // attempts older than this go, unless their incident stays
	Bytes       int64         // live data; above it the oldest closed incidents go first
	File        int64         // the file never grows beyond this

	CompactFrom int64 // a file smaller than this is never compacted
	Record      int   // bytes of one record
	Queue       int   // records that wait to be written
	QueueBytes  int   // and their bytes

	FlushEvery time.Duration // how long a queued record may wait for company
	RetryEvery time.Duration // how often an unwritable journal is tried again
	PruneEvery time.Duration // how often the retention is applied
	LockWait   time.Duration // how long Open waits for another agent to let go

	BudgetUnknown time.Duration // how long attempt budgets count as spent after a journal was lost
	EventBlock    uint64        // event numbers reserved by one commit

	OutboxKeep  time.Duration // how long an event is kept that the controller has
	OutboxLines int           // story lines that the controller does not have; and events that it has
	OutboxTail  int           // events in memory while the disk takes nothing
}

// DefaultLimits are the limits of the product.
func DefaultLimits() Limits {
	return Limits{
		Incidents:     2000,
		IncidentAge:   30 * 24 * time.Hour,
		AttemptAge:    48 * time.Hour,
		Bytes:         128 << 20,
		File:          1 << 30,
		CompactFrom:   1 << 20,
		Record:        1 << 20,
		Queue:         8192,
		QueueBytes:    8 << 20,
		FlushEvery:    20 * time.Millisecond,
		RetryEvery:    time.Second,
		PruneEvery:    time.Hour,
		LockWait:      500 * time.Millisecond,
		BudgetUnknown: time.Hour,
		EventBlock:    256,
		OutboxKeep:    24 * time.Hour,
		OutboxLines:   20000,
		OutboxTail:    4096,
	}
}

// withDefaults fills what was left zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Incidents, d.Incidents)
	fill(&l.IncidentAge, d.IncidentAge)
	fill(&l.AttemptAge, d.AttemptAge)
	fill(&l.Bytes, d.Bytes)
	fill(&l.File, d.File)
	fill(&l.CompactFrom, d.CompactFrom)
	fill(&l.Record, d.Record)
	fill(&l.Queue, d.Queue)
	fill(&l.QueueBytes, d.QueueBytes)
	fill(&l.FlushEvery, d.FlushEvery)
	fill(&l.RetryEvery, d.RetryEvery)
	fill(&l.PruneEvery, d.PruneEvery)
	fill(&l.LockWait, d.LockWait)
	fill(&l.BudgetUnknown, d.BudgetUnknown)
	fill(&l.EventBlock, d.EventBlock)
	fill(&l.OutboxKeep, d.OutboxKeep)
	fill(&l.OutboxLines, d.OutboxLines)
	fill(&l.OutboxTail, d.OutboxTail)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
