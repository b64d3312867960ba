local function verb()
