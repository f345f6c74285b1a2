package analyze

// collectWhole reads what stands in the memory of the machine beside the stack: of a
// small dump little of it is there, and nothing is said of what is not.
func (c *collection) collectWhole() {
	c.collectCode()
	c.decodeFault()
	c.collectLanding()
	c.collectOneBits()
	c.collectBlock()
	c.collectPage()
	c.collectRAM()
	c.collectPending()
	c.collectStuck()
	c.collectWatched()
}
