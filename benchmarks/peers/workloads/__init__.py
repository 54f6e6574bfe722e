"""What the relay and the peers are made to do, each with a function ``run`` that adds its rows to a stand."""
