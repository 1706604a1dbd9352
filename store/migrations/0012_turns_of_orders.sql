-- How often an order was taken up by a call: of two calls of one start, the late one has an earlier turn and no say.
ALTER TABLE orders ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
