"""What the two training loops share: losses, class weights, schedules, state, the best epoch."""
