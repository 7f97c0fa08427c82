"""How fast this machine trains, draws, packs and starts, and how fast it could. Functions of no flags."""
