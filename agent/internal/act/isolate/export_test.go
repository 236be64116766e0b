package isolate

// ForUser is the kind in an agent that runs as another user.
func (k Kind) ForUser(user int) Kind { return Kind{Host: k.Host, user: user} }

// Remove is what undo does to elements that it has listed.
var Remove = remove
