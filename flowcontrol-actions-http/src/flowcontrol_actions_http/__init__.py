"""HTTP requests, webhooks and callbacks for flowcontrol."""
