"""Pictures for lectures: each function draws one figure that carries its axes, units and message."""
