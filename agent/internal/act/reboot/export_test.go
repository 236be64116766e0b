package reboot

import "time"

// Patient is the kind with another patience.
func (k Kind) Patient(patience time.Duration) Kind {
	k.patience = patience
	return k
}
