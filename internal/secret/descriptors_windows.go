package secret

// InheritedDescriptors is empty: Windows has no file descriptors.
func InheritedDescriptors() []int { return nil }
